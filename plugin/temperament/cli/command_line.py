"""The command line: its parser, its exit codes, and what goes to which stream."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

import temperament
from temperament.errors import TemperamentError

# The exit status of a program that a closed pipe ends: 128 plus the number of SIGPIPE.
BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and prints its result.

    Returns the exit status: 0, 1 with every problem on stderr, or `BROKEN_PIPE`. Wrong usage exits
    with 2.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Chinese characters
    parsed = _parser().parse_args(arguments)
    parsed.presets += parsed.more_presets
    try:
        print(parsed.run(parsed), flush=True)
    except TemperamentError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Python flushes stdout once more when it exits; the null device takes that output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return 0


def language() -> str:
    """`zh` if the locale is Chinese, else `en`."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    chosen = next(filter(None, names), "")
    return "zh" if chosen.lower().startswith("zh") else "en"


def _parser() -> argparse.ArgumentParser:
    from temperament.cli import (
        file_commands,
        interchange_commands,
        preset_commands,
        serve_command,
        studio_commands,
        trace_command,
    )

    about = (temperament.__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="temperament", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=temperament.__version__)
    _add_presets(parser, "presets")
    group = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], str], summary: str
    ) -> argparse.ArgumentParser:
        subparser = group.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        _add_presets(subparser, "more_presets")
        subparser.set_defaults(run=run)
        return subparser

    preset_commands.add(command, language())
    interchange_commands.add(command)
    file_commands.add(command)
    studio_commands.add(command, language())
    trace_command.add(command)
    serve_command.add(command)
    return parser


def _add_presets(parser: argparse.ArgumentParser, destination: str) -> None:
    parser.add_argument(
        "--presets",
        dest=destination,
        action="append",
        default=[],
        metavar="PATH",
        help="a preset file or a folder of them, added to the shipped ones; may be repeated",
    )
