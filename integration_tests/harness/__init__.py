"""Starts real servers with real models for the tests and the demo."""
