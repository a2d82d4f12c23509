"""Reads `configs/models`, where each file describes a family of models.

A file has the names and the `config.json` entries by which the family is recognized, the values
that its vendor recommends for thinking, for instructions and so on, each with its source, the
scales of temperatures that were published for its weights, the formats in which parts of an answer
are marked, and how a request switches thinking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from temperament.errors import PresetError, Problem, shown
from temperament.presets import source
from temperament.presets.family import Family
from temperament.presets.family_fields import FamilyFields, ThinkingFields, field_problems
from temperament.presets.markers import PARTS, Marks, marks_of
from temperament.presets.parsing import parse
from temperament.presets.preset import Preset
from temperament.presets.temperature_scales import Scale, names, published
from temperament.presets.thinking import ThinkingSwitch


def read_family(path: Path) -> Family:
    """The family in a file of `configs/models`. Raises `PresetError` with every problem."""
    document = source.read(path)
    if document.data is None and document.problems:
        raise PresetError(document.problems)
    problems = list(document.problems)
    checked: FamilyFields | None = None
    try:
        checked = FamilyFields.model_validate(document.data)
    except ValidationError as error:
        problems += dict.fromkeys(field_problems(error, document))
    data = document.data if isinstance(document.data, Mapping) else {}
    kinds = data.get("values")
    kinds = kinds if isinstance(kinds, Mapping) else {}
    recommendations = {
        str(kind): _read_recommendation(document, kind, values, problems)
        for kind, values in kinds.items()
        if isinstance(values, Mapping)
    }
    recommended = data.get("recommended")
    if isinstance(recommended, str) and kinds and recommended not in kinds:
        here, known = document.locate(("recommended",)), ", ".join(map(str, kinds))
        problems.append(Problem(here, "recommended", "no such kind", shown(recommended), known))
    marks = _read_marks(document, checked, problems)
    scales = _read_scales(document, checked, problems)
    if problems or checked is None:
        raise PresetError(problems)
    return Family(
        path.stem,
        checked.title,
        tuple(pattern.lower() for pattern in checked.names),
        tuple(checked.config),
        checked.recommended,
        {kind: preset for kind, (preset, _, _) in recommendations.items()},
        {kind: verified for kind, (_, verified, _) in recommendations.items()},
        {kind: read for kind, (_, _, read) in recommendations.items()},
        scales,
        marks,
        None if checked.thinking is None else _thinking_switch(checked.thinking),
    )


def _thinking_switch(thinking: ThinkingFields) -> ThinkingSwitch:
    return ThinkingSwitch(
        thinking.default,
        tuple(thinking.arguments),
        thinking.values,
        thinking.words,
        thinking.words_of,
        f"{thinking.source}, read {thinking.read}",
    )


def _read_scales(
    document: source.Document, checked: FamilyFields | None, problems: list[Problem]
) -> dict[str, Scale]:
    """Returns the scales for which the vendor published what they mean for these weights."""
    found = {}
    for name, entry in (checked.scales if checked is not None else {}).items():
        scale = published(name, entry.model_dump())
        if scale is None:
            here, known = document.locate(("scales", name)), ", ".join(names()[1:])
            problems.append(Problem(here, f"scales.{name}", "no such scale", allowed=known))
        else:
            found[name] = scale
    return found


def _read_marks(
    document: source.Document, checked: FamilyFields | None, problems: list[Problem]
) -> dict[str, Marks]:
    """Returns the marks of each part of an answer, without those of unknown formats."""
    found: dict[str, Marks] = {}
    formats = checked.markers if checked is not None else None
    if formats is not None:
        for part in PARTS:
            name = getattr(formats, part)
            if name is None:
                continue
            try:
                found[part] = marks_of(part, name)
            except PresetError as error:
                here = document.locate(("markers", part))
                problems += (replace(p, where=here, path=f"markers.{part}") for p in error.problems)
    return found


def _read_recommendation(
    document: source.Document, kind: Any, data: Mapping[str, Any], problems: list[Problem]
) -> tuple[Preset, bool, str]:
    """Returns a kind's values, whether they are verified, and when their source was read."""
    fields = dict(data)
    verified = fields.pop("verified", True) is True
    read = str(fields.pop("read", ""))
    if not fields.get("source") or not read:
        here = document.locate(("values", kind))
        problems.append(Problem(here, f"values.{kind}", "has no source, or no date"))
    parsed = parse(str(kind), fields, lambda inner: document.locate(("values", kind, *inner)))
    problems += (
        replace(problem, path=".".join(filter(None, ("values", str(kind), problem.path))))
        for problem in parsed.problems
    )
    return parsed.preset, verified, read


def read_families(folder: Path) -> tuple[Family, ...]:
    """The families of a folder, by name. Raises `PresetError` with all problems of all files."""
    found: list[Family] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append(read_family(path))
        except PresetError as error:
            problems += error.problems
    if problems:
        raise PresetError(problems)
    return tuple(found)
