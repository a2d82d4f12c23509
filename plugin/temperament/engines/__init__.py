"""Adapters to the engines. No formula stands here."""
