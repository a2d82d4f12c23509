"""Drawings with matplotlib. Each file draws numbers that another module made."""
