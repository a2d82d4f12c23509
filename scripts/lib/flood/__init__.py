"""Sends many random presets to one manager of Transformers' continuous batching."""
