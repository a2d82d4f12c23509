"""What vendors recommend for their models, and presets that depend on it.

A family of models is a file in `configs/models`: by which names and entries of `config.json` it is
known, the values that its vendor recommends for thinking, for instructions and so on, each with
its source, and how scales of temperature map to its weights. `bind` puts numbers in the place of
what a preset leaves to the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from temperament.errors import PresetError, Problem, shown
from temperament.presets import source
from temperament.presets.markers import configs
from temperament.presets.modes import Mode
from temperament.presets.parsing import parse, parse_preset
from temperament.presets.preset import Preset, mode_of
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF, Stage

DIGITS = 10  # of a number that was computed: 1.3 - 0.7 is 0.6
CUTS = frozenset(
    parameter.name
    for stage in BY_NAME.values()
    if stage.group == "cut"
    for parameter in stage.parameters
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model: its name (or folder), and entries of its `config.json`."""

    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The name in lower case, whole and without its owner."""
        whole = self.name.replace("\\", "/").rstrip("/").lower()
        return (whole, whole.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a scale: up to `up_to`, the number times `times` plus `plus`."""

    up_to: float
    times: float
    plus: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How temperatures on a scale map to these weights, piece by piece, and who says so."""

    pieces: tuple[Piece, ...]
    source: str

    def local(self, value: float) -> float | None:
        """The temperature for the weights; None outside the scale."""
        for piece in self.pieces:
            if value <= piece.up_to:
                return round(value * piece.times + piece.plus, DIGITS)
        return None


@dataclass(frozen=True)
class Family:
    """Models with the same recommendations. `values` are by kind: thinking, instruct, ..."""

    name: str
    title: str
    names: tuple[str, ...]
    config: tuple[Mapping[str, Any], ...]
    recommended: str
    values: Mapping[str, Preset]
    verified: Mapping[str, bool]
    read: Mapping[str, str]
    scales: Mapping[str, Scale]

    def kind(self, name: str) -> Preset | None:
        """The values of a kind; `recommended` is the one that the vendor has as default."""
        return self.values.get(self.recommended if name == "recommended" else name)

    def matches(self, facts: Facts) -> int:
        """How well it fits: the length of the longest pattern of a name, 1 by config, 0 not."""
        by_name = [len(p) for p in self.names if any(fnmatchcase(n, p) for n in facts.names)]
        if by_name:
            return 1 + max(by_name)
        return int(any(all(facts.config.get(k) == v for k, v in c.items()) for c in self.config))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Piece(_Strict):
    up_to: float
    times: float = 1.0
    plus: float = 0.0


class _Scale(_Strict):
    pieces: list[_Piece] = Field(min_length=1)
    source: str
    read: str


class _Family(_Strict):
    title: str
    names: list[str] = []
    config: list[dict[str, str | int]] = []
    recommended: str
    values: dict[str, dict[str, Any]] = Field(min_length=1)
    scales: dict[str, _Scale] = {}


def read_family(path: Path) -> Family:
    """The family in a file of `configs/models`. Raises `PresetError` with every problem."""
    document = source.read(path)
    if document.data is None and document.problems:
        raise PresetError(document.problems)
    problems = list(document.problems)
    checked: _Family | None = None
    try:
        checked = _Family.model_validate(document.data)
    except ValidationError as error:
        problems += (
            Problem(
                document.locate(tuple(details["loc"])),
                ".".join(map(str, details["loc"])),
                str(details["msg"]),
                shown(details["input"]),
            )
            for details in error.errors(include_url=False)
        )
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
        {
            name: Scale(
                tuple(Piece(p.up_to, p.times, p.plus) for p in scale.pieces),
                f"{scale.source}, {scale.read}",
            )
            for name, scale in checked.scales.items()
        },
    )


def _read_recommendation(
    document: source.Document, kind: Any, data: Mapping[str, Any], problems: list[Problem]
) -> tuple[Preset, bool, str]:
    """(the values of a kind, whether they are verified, the date on which the source was read)."""
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


@cache
def families() -> tuple[Family, ...]:
    """The shipped families, by name. Raises `PresetError` with all problems of all files."""
    return read_families(configs() / "models")


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


def hottest() -> float:
    """The highest temperature that any vendor recommends for local weights."""
    return max(
        float(values.values.get("temperature", 0.0))
        for family in families()
        for kind, values in family.values.items()
        if family.verified[kind]
    )


def facts_of(model: str | Path | Facts) -> Facts:
    """The facts of a model, by its name or by a folder with a `config.json`.

    Raises `PresetError` if a folder's `config.json` can't be read.
    """
    if isinstance(model, Facts):
        return model
    path = Path(model)
    path = path.parent if path.name == "config.json" else path
    file = path / "config.json"
    if not file.is_file():
        return Facts(str(model))
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PresetError(Problem(str(file), "", "can't be read as JSON")) from None
    if not isinstance(config, dict):
        raise PresetError(Problem(str(file), "", "not a JSON object"))
    return facts_of_config(str(path.resolve()), config)


def facts_of_config(name: str, config: Mapping[str, Any]) -> Facts:
    """The facts of a model by its name and the entries of its `config.json`."""
    known = {key: config.get(key) for key in ("model_type", "vocab_size")}
    architectures = config.get("architectures") or [None]
    return Facts(name, {**known, "architecture": architectures[0]})


def family_of(facts: Facts) -> Family | None:
    """The family that fits best: by the longest pattern of a name, else by `config.json`."""
    fitting = [(family.matches(facts), family) for family in families()]
    best = max((score for score, _ in fitting), default=0)
    return next(family for score, family in fitting if score == best) if best else None


def bind(preset: Preset, facts: Facts, family: Family | None) -> Preset:
    """`preset` for a model: sections, recommended values, factors and scales become numbers.

    `pending` of the result says what can't be bound: there is no family, or it lacks the values. A
    preset that doesn't depend on the model stays as it is.
    """
    preset = _numbers(preset, facts, family)
    return preset if family is None else _with_truncation(preset, family)


def _numbers(preset: Preset, facts: Facts, family: Family | None) -> Preset:
    """What `bind` returns, without the cuts that it adds to a high temperature."""
    for pattern, section in preset.sections.items():
        named = any(fnmatchcase(name, pattern) for name in facts.names)
        if named or (family is not None and fnmatchcase(family.name, pattern)):
            preset = replace(
                section.over(preset),
                name=preset.name,
                summary=preset.summary,
                aliases=preset.aliases,
                source=preset.source,
                origin=preset.origin,
                notes=preset.notes,
            )
            preset = _noted(preset, f"its section for {pattern} applies")
    preset = replace(preset, sections={}, pending="")
    scale = preset.temperature_scale
    if family is not None:
        preset = _onto_recommended(preset, family)
        preset = _factors(preset, family)
        preset = _on_scale(preset, family)
    return _modes(preset, scale, facts, family)


def _modes(preset: Preset, scale: str, facts: Facts, family: Family | None) -> Preset:
    """The preset with the numbers of its unbound modes.

    A temperature that such a mode sets itself is on the preset's `scale`.
    """
    modes = []
    for mode in preset.modes:
        unbound = mode.unbound
        if unbound is not None:
            if "temperature" in unbound.values or "temperature" in unbound.relative:
                unbound = replace(unbound, temperature_scale=unbound.temperature_scale or scale)
            bound = _numbers(unbound, facts, family)
            for note in bound.notes:
                preset = _noted(preset, f"mode {mode.name}: {note}")
            mode = mode_of(replace(bound, notes=()))  # noqa: PLW2901
        modes.append(mode)
    return replace(preset, modes=tuple(modes))


def _noted(preset: Preset, note: str) -> Preset:
    return replace(preset, notes=(*preset.notes, note))


def _about(family: Family, kind: str) -> str:
    name = family.recommended if kind == "recommended" else kind
    doubt = "" if family.verified[name] else "; not verified"
    return f"{family.values[name].source}, read {family.read[name]}{doubt}"


def _onto_recommended(preset: Preset, family: Family) -> Preset:
    kind = preset.from_model
    if not kind:
        return preset
    base = family.kind(kind)
    if base is None:
        reason = f"{family.title} has no values for {kind}, only {', '.join(family.values)}"
        return replace(preset, pending=reason)
    layer = Preset("", base.values, base.order, base.generation)
    note = f"{family.title} for {kind}: {_about(family, kind)}"
    return _noted(replace(preset.over(layer), from_model=""), note)


def _factors(preset: Preset, family: Family) -> Preset:
    if not preset.relative or preset.pending:
        return preset
    base = family.kind("recommended")
    assert base is not None
    values = dict(preset.values)
    for name, factor in preset.relative.items():
        recommended = base.values.get(name)
        if recommended is None:
            reason = f"{family.title} has no recommended {name} to be a factor of"
            return replace(preset, pending=reason)
        number = round(recommended * factor, DIGITS)
        values[name] = round(number) if PARAMETERS[name].whole else number
        note = f"{name} {values[name]:g} is {factor:g} times the {recommended:g} of {family.title}"
        preset = _noted(preset, f"{note}: {_about(family, 'recommended')}")
    try:
        checked, _ = parse_preset(preset.name, {n: values[n] for n in preset.relative})
    except PresetError as error:
        return replace(preset, pending=str(error))
    return replace(preset, values={**values, **checked.values}, relative={})


def _on_scale(preset: Preset, family: Family) -> Preset:
    name = preset.temperature_scale
    if not name or preset.pending:
        return preset
    scale = family.scales.get(name)
    if scale is None:
        note = f"no mapping of {name} is known for {family.title}: the temperature stays as it is"
        return _noted(replace(preset, temperature_scale=""), note)
    on_scale = [value for value in _temperatures(preset) if isinstance(value, float)]
    if any(scale.local(value) is None for value in on_scale):
        top = scale.pieces[-1].up_to
        return replace(preset, pending=f"{name} ends at {top:g}")

    mapped = {value: scale.local(value) for value in on_scale}

    def local(values: Mapping[str, Any]) -> dict[str, Any]:
        value = values.get("temperature")
        if isinstance(value, Schedule):
            start, end = mapped[value.start], mapped[value.end]
            value = value._replace(start=start or 0.0, end=end or 0.0)
        elif value is not None:
            value = mapped[float(value)]
        return dict(values) if value is None else {**values, "temperature": value}

    modes = tuple(
        mode if mode.unbound is not None else replace(mode, values=local(mode.values))
        for mode in preset.modes
    )
    for value in dict.fromkeys(on_scale):
        note = f"temperature {value:g} on {name} is {scale.local(value):g} for {family.title}"
        preset = _noted(preset, f"{note}: {scale.source}")
    return replace(preset, values=local(preset.values), modes=modes, temperature_scale="")


def _temperatures(preset: Preset) -> Iterable[Any]:
    """Every temperature on a preset's scale, both ends of a schedule. Unbound modes have theirs."""
    modes = (mode.values for mode in preset.modes if mode.unbound is None)
    for values in (preset.values, *modes):
        value = values.get("temperature")
        if isinstance(value, Schedule):
            yield from (float(value.start), float(value.end))
        elif value is not None:
            yield float(value)


def is_bare(values: Mapping[str, Any]) -> bool:
    """Whether the temperature is above every vendor's for local weights, and no cut is set."""
    value = values.get("temperature", 1.0)
    top = max(value.start, value.end) if isinstance(value, Schedule) else value
    return top > hottest() and not any(_acts(STAGE_OF[name], values) for name in CUTS & {*values})


def _acts(stage: Stage, values: Mapping[str, Any]) -> bool:
    own = {p.name: values.get(p.name, p.unset) for p in stage.parameters}
    return not stage.is_neutral(own)


def _with_truncation(preset: Preset, family: Family) -> Preset:
    """Adds the model's recommended cuts to a preset with a temperature above every vendor's.

    A preset that names a cut keeps its own cuts, even if they are neutral.
    """
    base = family.kind("recommended")
    if base is None or not family.verified[family.recommended] or preset.pending:
        return preset
    kept = {n: v for n, v in base.values.items() if n in CUTS and v != PARAMETERS[n].neutral}
    if not kept:
        return preset

    def bare(values: Mapping[str, Any]) -> bool:
        return is_bare(values) and not CUTS & values.keys()

    cuts = " ".join(f"{name} {value:g}" for name, value in kept.items())
    note = f"{cuts} of {family.title} stays, since the temperature is above any vendor's"
    if preset.modes:
        modes: tuple[Mode, ...] = tuple(
            replace(mode, values={**kept, **mode.values})
            if bare({**preset.values, **mode.values})
            else mode
            for mode in preset.modes
        )
        return _noted(replace(preset, modes=modes), note) if modes != preset.modes else preset
    if not bare(preset.values):
        return preset
    return _noted(replace(preset, values={**kept, **preset.values}), note)


def warnings(preset: Preset) -> list[str]:
    """Warnings about a preset on local weights: it is unbound, or its temperature needs a cut."""
    found = [preset.unbound] if preset.unbound else []
    values_by_mode = {
        f"mode {mode.name}: ": {**preset.values, **mode.values} for mode in preset.modes
    }
    for prefix, values in (values_by_mode or {"": {**preset.values}}).items():
        if is_bare(values):
            found.append(
                f"{prefix}temperature {values['temperature']} without truncation is outside every"
                f" vendor's range for local weights (at most {hottest():g})"
            )
    return found
