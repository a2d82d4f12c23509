"""Sends many random presets at once to a real server, and checks that none disturbs another."""
