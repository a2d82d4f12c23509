"""Figures with matplotlib. Each file draws the numbers of another module."""
