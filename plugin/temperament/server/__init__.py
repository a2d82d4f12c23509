"""The request's words: how a preset is named over HTTP, and what becomes of the body."""
