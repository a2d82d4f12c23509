"""`temperament ...`: what the presets say, whether they are right, what engines do with them."""

from temperament.cli.command import main

__all__ = ["main"]
