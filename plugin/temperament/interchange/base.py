"""What reading and writing other programs' presets have in common: notes, formats, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from temperament.errors import PresetError, Problem, shown
from temperament.presets import Preset

# lost      can't be said on the other side, and isn't there
# differs   is there, and means something a little different
# default   isn't in the file, and stands for what the program does then
# left      belongs elsewhere: not sampling, or the model's own
Kind = Literal["lost", "differs", "default", "left"]


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that a reader should know: `name` is ours on writing, theirs on reading."""

    kind: Kind
    name: str
    value: Any
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name} = {shown(self.value)}: {self.message}"


@dataclass(slots=True)
class Reading:
    """Fields of a preset as a file would have them, and what must be known about them."""

    words: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def note(self, kind: Kind, name: str, value: Any, message: str) -> None:
        """Adds a note, each once."""
        made = Note(kind, name, value, message)
        if made not in self.notes:
            self.notes.append(made)


@dataclass(slots=True)
class Writing:
    """Fields of another program, and what must be known about them."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    # parameters of ours that aren't said
    lost: set[str] = field(default_factory=set)

    def note(self, kind: Kind, name: str, value: Any, message: str) -> None:
        """Adds a note, each once; what is lost is remembered."""
        if kind == "lost":
            self.lost.add(name)
        made = Note(kind, name, value, message)
        if made not in self.notes:
            self.notes.append(made)


@dataclass(frozen=True)
class Format:
    """One program's format.

    `read` takes a file's text and, where a file holds several presets, the name of one; it raises
    `PresetError`. `write` takes a preset. `looks` tells whether a file of this name and text is
    one.
    """

    name: str
    title: str
    read: Callable[[str, str], Reading]
    write: Callable[[Preset], tuple[str, list[Note]]]
    looks: Callable[[str, str], bool]


class CantSayError(ValueError):
    """A value that the other side has no way to say; the text is the reason."""


def wrong(where: str, message: str, given: Any = "", allowed: str = "") -> PresetError:
    """The error of a file that isn't what it should be."""
    return PresetError(Problem(where, "", message, shown(given) if given != "" else "", allowed))


def exact(value: Any) -> Decimal:
    """A number as it is written, so that sums of numbers in files come out as one would write."""
    return Decimal(repr(value))


def plain(value: Decimal) -> int | float:
    """A decimal as a number for a file: an integer where it is one."""
    return int(value) if value == value.to_integral_value() else float(value)


def scaled(factor: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """(theirs to ours, ours to theirs) of a number that they count in units of `factor`."""
    unit = Decimal(factor)
    return (
        lambda theirs: float(exact(theirs) * unit),
        lambda ours: plain(exact(ours) / unit),
    )


def listed(value: Any) -> Any:
    """Tuples as lists, for JSON and YAML."""
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: listed(item) for key, item in value.items()}
    return value
