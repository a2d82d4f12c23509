"""Rows: parameters and tokens per request, and the one loop that runs a batch."""
