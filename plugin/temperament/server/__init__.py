"""Presets over HTTP: how a request names one, what it is checked for, and what vLLM reads then."""
