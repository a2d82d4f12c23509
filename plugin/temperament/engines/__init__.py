"""Adapters to the engines. They compute nothing themselves; that is for `ops` and `batch`."""
