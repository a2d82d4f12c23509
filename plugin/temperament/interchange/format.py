"""What all formats share: notes, the results of reading and writing, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from temperament.errors import PresetError, Problem, shown
from temperament.presets import Preset

# lost      the other side has no way to express it, so the result lacks it
# differs   the result has it, with a slightly different meaning
# default   the file lacks it, and the result has the program's default
# left      it isn't a sampling parameter, or belongs to the model, and is left out
Kind = Literal["lost", "differs", "default", "left"]
UNSUPPORTED = "isn't a sampling parameter of Temperament's"
OF_TRANSFORMERS = "is left out: a preset can set it, for Transformers alone (docs/parameters.md)"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that the reader of a result should know.

    `name` is the preset's field when a preset is written, and the program's field when one is read.
    """

    kind: Kind
    name: str
    value: Any
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name} = {shown(self.value)}: {self.message}"


@dataclass(slots=True)
class _Result:
    notes: list[Note] = field(default_factory=list)

    def note(self, kind: Kind, name: str, value: Any, message: str) -> None:
        """Adds a note, unless the same note is there already."""
        note = Note(kind, name, value, message)
        if note not in self.notes:
            self.notes.append(note)


@dataclass(slots=True)
class Reading(_Result):
    """The fields of a preset file, and the notes."""

    preset: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Writing(_Result):
    """The fields of another program, and the notes."""

    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def lost(self) -> set[str]:
        """The preset's fields that the program's don't express."""
        return {note.name for note in self.notes if note.kind == "lost"}


@dataclass(frozen=True)
class Format:
    """One format of a program.

    `read` takes a file's text and, for a file with several presets, the name of one; it raises
    `PresetError`. `write` takes a preset. `looks` returns whether a file of this name and text has
    the format. `version` is the program's version that reading and writing were held against.
    """

    name: str
    title: str
    read: Callable[[str, str], Reading]
    write: Callable[[Preset], tuple[str, list[Note]]]
    looks: Callable[[str, str], bool]
    version: str = ""
    # the names of a file's presets, where a file can have several
    sections: Callable[[str], list[str]] = lambda text: []
    # whether `write` takes a temperature on the scale on which the preset states it
    takes_scales: bool = False


class CantSayError(ValueError):
    """A value that the other side can't express; the text is the reason."""


def wrong(where: str, message: str, value: Any = "", allowed: str = "") -> PresetError:
    """Returns the error of a file that doesn't have its format."""
    return PresetError(Problem(where, "", message, shown(value) if value != "" else "", allowed))


def exact(value: Any) -> Decimal:
    """Returns a number as the decimal of its digits, so that sums have no binary rounding error."""
    return Decimal(repr(value))


def plain(value: Decimal) -> int | float:
    """Returns a decimal as a number for a file: an int if it is integral, else a float."""
    return int(value) if value == value.to_integral_value() else float(value)


def scaled(factor: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The conversions to and from a number that a program counts in units of `factor`."""
    unit = Decimal(factor)
    return (
        lambda theirs: float(exact(theirs) * unit),
        lambda value: plain(exact(value) / unit),
    )


def listed(value: Any) -> Any:
    """`value` with its tuples as lists, for JSON and YAML."""
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: listed(item) for key, item in value.items()}
    return value
