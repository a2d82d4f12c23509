"""The command line: its words, its exit codes, and what goes to which stream."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

import temperament
from temperament.errors import TemperamentError

# What a program that a broken pipe ends reports: 128 and the number of SIGPIPE.
BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, or 1 with every problem on stderr; misuse exits with 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Chinese characters
    words = _parser().parse_args(arguments)
    words.presets += words.more_presets
    try:
        print(words.run(words), flush=True)
    except TemperamentError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Python flushes stdout once more at exit: let that go nowhere.
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
        studio_commands,
        trace_command,
    )
    from temperament.plan.split import CHOICES
    from temperament.plan.targets import TARGETS

    about = (temperament.__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="temperament", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=temperament.__version__)
    _add_presets(parser, "presets")
    group = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], str], summary: str
    ) -> argparse.ArgumentParser:
        made = group.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        _add_presets(made, "more_presets")
        made.set_defaults(run=run)
        return made

    listed = command(
        "list", preset_commands.list_presets, "every preset: aliases, parameters, summary"
    )
    show = command("show", preset_commands.show, "all about one preset")
    check = command("check", preset_commands.check, "tells every problem of preset files")
    explain = command(
        "explain", preset_commands.explain, "what an engine does, what we do, and why"
    )
    command("schema", preset_commands.schema, "the JSON Schema of preset files, for editors")

    check.add_argument("paths", nargs="*", metavar="PATH", help="preset files or folders of them")
    for made in (show, explain):
        made.add_argument("name", metavar="NAME", help="a preset's name or alias")
    explain.add_argument("--engine", required=True, choices=sorted(TARGETS))
    for made in (listed, show, check, explain):
        made.add_argument(
            "--model",
            default="",
            help="a model's name, or a folder with its config.json; check reads its tokenizer too",
        )
    explain.add_argument("--platform", choices=("cpu", "cuda"), help="where the engine runs")
    explain.add_argument("--plan", choices=CHOICES, default="auto", help="auto if not given")
    for made in (listed, show, explain):
        made.add_argument("--json", action="store_true", help="as JSON")
        made.add_argument("--lang", choices=("en", "zh"), default=language(), help="of summaries")
    interchange_commands.add(command)
    file_commands.add(command)
    studio_commands.add(command, language())
    trace_command.add(command)
    return parser


def _add_presets(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        "--presets",
        dest=name,
        action="append",
        default=[],
        metavar="PATH",
        help="a preset file or a folder of them, added to the others; may be repeated",
    )
