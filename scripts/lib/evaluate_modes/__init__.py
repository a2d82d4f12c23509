"""Measures whether a preset that switches modes gives better answers than one that doesn't."""
