"""The `temperament` command.

`command_line` builds the parser and runs a command; each `..._command(s)` file has the commands
of one part of the package; the other files format what they print.
"""

from temperament.cli.command_line import main

__all__ = ["main"]
