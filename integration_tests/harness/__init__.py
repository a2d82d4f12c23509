"""Real servers, models and requests, for the integration tests and the programs of scripts/lib.

Nothing here imports from the tests or from scripts/.
"""
