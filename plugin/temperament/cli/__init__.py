"""`temperament ...`: what the presets say, whether they are right, what engines do with them."""

from temperament.cli.command_line import main

__all__ = ["main"]
