"""How commands print: JSON, and columns that also align where a character is two columns wide."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol
from unicodedata import category, east_asian_width


class AddCommand(Protocol):
    """Adds a command to the command line and returns its parser.

    `run` takes the parsed arguments and returns what is printed; `summary` is the help text.
    """

    def __call__(
        self, name: str, run: Callable[[Namespace], str], summary: str
    ) -> ArgumentParser: ...


def as_json(value: Any) -> str:
    """`value` as indented JSON; what JSON has no type for is written as a string."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def width(text: str) -> int:
    """The columns that a terminal needs for `text`."""
    return sum(_columns(character) for character in text)


def one_line(text: str) -> str:
    """`text` with its line breaks as spaces and without control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """The rows under their head, two spaces between columns; the last column is not padded."""
    cells = [tuple(map(one_line, row)) for row in ([head, *rows] if head else rows)]
    widest = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            text + " " * (columns - width(text)) for text, columns in zip(row, widest, strict=True)
        ).rstrip()
        for row in cells
    )


def _columns(character: str) -> int:
    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
