"""Sends hostile request bodies and preset files to the middleware and to a real server."""
