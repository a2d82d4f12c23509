"""The marks that models write around parts of their answers: `configs/markers.yaml`.

A marker is the name by which a preset's rule waits for such marks: `reasoning.end` is any text that
ends a model's thinking. Which texts these are depends on the model's format, and formats have the
names of vLLM's parsers for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from temperament.errors import PresetError, Problem, nearest, shown
from temperament.presets import source
from temperament.stages.kinds import text_as_list

PARTS = ("reasoning", "tool_call")  # the parts of an answer that have marks
SIDES = ("start", "end")
Marker = Literal["reasoning.start", "reasoning.end", "tool_call.start", "tool_call.end"]
NAMES: tuple[Marker, ...] = get_args(Marker)
NONE = "none"  # as a format: the model writes no such part
_FIELDS = ("start", "end", "unmarked", "note", "ordinary", "source", "since")


@dataclass(frozen=True, slots=True)
class Marks:
    """How one format marks one part of an answer.

    Without `start`, `unmarked` is the reason. Without `end`, the part lasts to the end of the text.
    `ordinary` marks may occur in the texts of models with other formats. `note` is what the
    marks don't say about the format. `since` is the first vLLM with the parser, "" for an older
    one.
    """

    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    unmarked: str = ""
    note: str = ""
    ordinary: bool = False
    source: str = ""
    since: str = ""

    def on(self, side: str) -> tuple[str, ...]:
        """Returns the marks of a side, `start` or `end`."""
        return self.start if side == "start" else self.end


@cache
def configs() -> Path:
    """Returns the folder `configs/`: in the package, or in the tree for an editable install."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


@cache
def formats() -> Mapping[str, Mapping[str, Marks]]:
    """Returns the marks of each format, for each part. Raises `PresetError` with every problem."""
    return read_formats(configs() / "markers.yaml")


def read_formats(path: Path) -> Mapping[str, Mapping[str, Marks]]:
    """Returns the formats of a file. Raises `PresetError` with every problem."""
    document = source.read(path)
    problems = list(document.problems)
    data: Any = document.data if isinstance(document.data, Mapping) else {}
    found: dict[str, dict[str, Marks]] = {}
    for part in PARTS:
        entries = data.get(part)
        found[part] = {}
        if not isinstance(entries, Mapping):
            problems.append(Problem(str(path), part, "has no formats"))
            continue
        for name, entry in entries.items():
            problem = _entry_problem(entry)
            if problem:
                place = document.locate((part, name))
                problems.append(Problem(place, f"{part}.{name}", problem, shown(entry)))
            else:
                texts = {side: tuple(text_as_list(entry.get(side, ()))) for side in SIDES}
                found[part][str(name)] = Marks(**{**entry, **texts})
    if problems:
        raise PresetError(problems)
    return found


def _entry_problem(entry: Any) -> str:
    """Returns what is wrong with an entry of the file, "" if nothing is."""
    if not isinstance(entry, Mapping) or not set(entry) <= set(_FIELDS):
        return f"not a map of {', '.join(_FIELDS)}"
    if not entry.get("source"):
        return "has no source"
    if bool(entry.get("start")) == bool(entry.get("unmarked")):
        return "needs one of start and unmarked"
    sides = [text_as_list(entry.get(side, [])) for side in SIDES]
    if not all(isinstance(texts, list) for texts in sides):
        return "a mark is no text"
    marks_are_texts = all(isinstance(text, str) and text for texts in sides for text in texts)
    return "" if marks_are_texts else "a mark is no text"


@cache
def markers() -> Mapping[str, tuple[str, ...]]:
    """Returns each marker's texts where the model's format isn't known: those of all formats."""
    return {
        f"{part}.{side}": tuple(
            dict.fromkeys(
                text
                for marks in formats()[part].values()
                if not marks.ordinary
                for text in marks.on(side)
            )
        )
        for part in PARTS
        for side in SIDES
    }


def marks_of(part: str, name: str) -> Marks:
    """Returns the marks of a format. Raises `PresetError` for an unknown name."""
    if name == NONE:
        return Marks(unmarked=f"the model writes no {part}")
    known = formats()[part]
    if name not in known:
        close = nearest(name, [*known])
        raise PresetError(Problem("", part, "no such format", shown(name), "", close))
    return known[name]
