"""What vendors recommend for their models, and how a preset that depends on it is bound.

Each file in `configs/models` describes a family of models: the names and `config.json` entries by
which it is recognized, the values that its vendor recommends for thinking, for instructions and so
on, each with its source, and how temperature scales map to its weights. `bind` replaces what a
preset leaves to the model by the family's numbers.
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

DIGITS = 10  # to which computed numbers are rounded: 1.3 - 0.7 becomes 0.6
CUTS = frozenset(
    parameter.name
    for stage in BY_NAME.values()
    if stage.group == "cut"
    for parameter in stage.parameters
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A model's name (or folder), and entries of its `config.json`."""

    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The name in lower case, with its owner and without: "qwen/qwen3-8b", "qwen3-8b"."""
        full = self.name.replace("\\", "/").rstrip("/").lower()
        return (full, full.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Piece:
    """A linear piece of a scale: a temperature t up to `up_to` becomes `t * times + plus`."""

    up_to: float
    times: float
    plus: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A piecewise linear map from temperatures on a scale to those of the weights; its source."""

    pieces: tuple[Piece, ...]
    source: str

    def local(self, value: float) -> float | None:
        """Returns the temperature of the weights; None above the end of the scale."""
        for piece in self.pieces:
            if value <= piece.up_to:
                return round(value * piece.times + piece.plus, DIGITS)
        return None


@dataclass(frozen=True)
class Family:
    """Models with the same recommendations.

    `values`, `verified` and `read` have an entry for each kind of use: thinking, instruct, ...
    `read` are the dates on which the sources were read. `recommended` is the vendor's default kind.
    """

    name: str
    title: str
    names: tuple[str, ...]
    config: tuple[Mapping[str, Any], ...]
    recommended: str
    values: Mapping[str, Preset]
    verified: Mapping[str, bool]
    read: Mapping[str, str]
    scales: Mapping[str, Scale]

    def recommendation(self, name: str) -> Preset | None:
        """Returns the values of a kind, None without it; "recommended" means the default kind."""
        return self.values.get(self.recommended if name == "recommended" else name)

    def matches(self, facts: Facts) -> int:
        """Returns how specifically a model matches: 0 if it doesn't, 1 if only `config` does.

        Names count more: 1 plus the length of the longest pattern that matches.
        """
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


def highest_temperature() -> float:
    """The highest temperature that any vendor recommends for local weights."""
    return max(
        float(values.values.get("temperature", 0.0))
        for family in families()
        for kind, values in family.values.items()
        if family.verified[kind]
    )


def facts_of(model: str | Path | Facts) -> Facts:
    """Returns the facts of a model from its name, or from a folder with a `config.json`.

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
    """Returns the facts of a model from its name and the entries of its `config.json`."""
    known = {key: config.get(key) for key in ("model_type", "vocab_size")}
    architectures = config.get("architectures") or [None]
    return Facts(name, {**known, "architecture": architectures[0]})


def family_of(facts: Facts) -> Family | None:
    """Returns the family that matches most specifically (`Family.matches`); None if none does."""
    fitting = [(family.matches(facts), family) for family in families()]
    best = max((score for score, _ in fitting), default=0)
    return next(family for score, family in fitting if score == best) if best else None


def bind(preset: Preset, facts: Facts, family: Family | None) -> Preset:
    """Returns `preset` bound to a model: sections, recommended values, factors, scales are applied.

    If something can't be bound, since there is no family or it lacks the values, `pending` of the
    result is the reason. A preset that doesn't depend on the model stays as it is.
    """
    preset = _numbers(preset, facts, family)
    return preset if family is None else _add_recommended_cuts(preset, family)


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
            preset = _with_note(preset, f"its section for {pattern} applies")
    preset = replace(preset, sections={}, pending="")
    scale = preset.temperature_scale
    if family is not None:
        preset = _bind_recommended(preset, family)
        preset = _bind_factors(preset, family)
        preset = _bind_scale(preset, family)
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
                preset = _with_note(preset, f"mode {mode.name}: {note}")
            mode = mode_of(replace(bound, notes=()))  # noqa: PLW2901
        modes.append(mode)
    return replace(preset, modes=tuple(modes))


def _with_note(preset: Preset, note: str) -> Preset:
    return replace(preset, notes=(*preset.notes, note))


def _cite(family: Family, kind: str) -> str:
    name = family.recommended if kind == "recommended" else kind
    doubt = "" if family.verified[name] else "; not verified"
    return f"{family.values[name].source}, read {family.read[name]}{doubt}"


def _bind_recommended(preset: Preset, family: Family) -> Preset:
    kind = preset.from_model
    if not kind:
        return preset
    base = family.recommendation(kind)
    if base is None:
        reason = f"{family.title} has no values for {kind}, only {', '.join(family.values)}"
        return replace(preset, pending=reason)
    layer = Preset("", base.values, base.order, base.generation)
    note = f"{family.title} for {kind}: {_cite(family, kind)}"
    return _with_note(replace(preset.over(layer), from_model=""), note)


def _bind_factors(preset: Preset, family: Family) -> Preset:
    if not preset.relative or preset.pending:
        return preset
    base = family.recommendation("recommended")
    assert base is not None
    values = dict(preset.values)
    for name, factor in preset.relative.items():
        recommended = base.values.get(name)
        if recommended is None:
            reason = f"{family.title} has no recommended {name} to be a factor of"
            return replace(preset, pending=reason)
        number = round(recommended * factor, DIGITS)
        values[name] = round(number) if PARAMETERS[name].integer else number
        note = f"{name} {values[name]:g} is {factor:g} times the {recommended:g} of {family.title}"
        preset = _with_note(preset, f"{note}: {_cite(family, 'recommended')}")
    try:
        checked, _ = parse_preset(preset.name, {n: values[n] for n in preset.relative})
    except PresetError as error:
        return replace(preset, pending=str(error))
    return replace(preset, values={**values, **checked.values}, relative={})


def _bind_scale(preset: Preset, family: Family) -> Preset:
    name = preset.temperature_scale
    if not name or preset.pending:
        return preset
    scale = family.scales.get(name)
    if scale is None:
        note = f"no mapping of {name} is known for {family.title}: the temperature stays as it is"
        return _with_note(replace(preset, temperature_scale=""), note)
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
        preset = _with_note(preset, f"{note}: {scale.source}")
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


def needs_truncation(values: Mapping[str, Any]) -> bool:
    """Whether the temperature exceeds every vendor's for local weights, and no cut is active."""
    value = values.get("temperature", 1.0)
    top = max(value.start, value.end) if isinstance(value, Schedule) else value
    return top > highest_temperature() and not any(
        _acts(STAGE_OF[name], values) for name in CUTS & {*values}
    )


def _acts(stage: Stage, values: Mapping[str, Any]) -> bool:
    settings = {p.name: values.get(p.name, p.unset) for p in stage.parameters}
    return not stage.is_neutral(settings)


def _add_recommended_cuts(preset: Preset, family: Family) -> Preset:
    """Adds the model's recommended cuts to a preset whose temperature exceeds every vendor's.

    A preset that sets a cut, even to its neutral value, gets none.
    """
    base = family.recommendation("recommended")
    if base is None or not family.verified[family.recommended] or preset.pending:
        return preset
    cuts = {n: v for n, v in base.values.items() if n in CUTS and v != PARAMETERS[n].neutral}
    if not cuts:
        return preset

    def needs_cuts(values: Mapping[str, Any]) -> bool:
        return needs_truncation(values) and not CUTS & values.keys()

    described = " ".join(f"{name} {value:g}" for name, value in cuts.items())
    note = f"{described} of {family.title} stays, since the temperature is above any vendor's"
    if preset.modes:
        modes: tuple[Mode, ...] = tuple(
            replace(mode, values={**cuts, **mode.values})
            if needs_cuts({**preset.values, **mode.values})
            else mode
            for mode in preset.modes
        )
        return _with_note(replace(preset, modes=modes), note) if modes != preset.modes else preset
    if not needs_cuts(preset.values):
        return preset
    return _with_note(replace(preset, values={**cuts, **preset.values}), note)


def warnings(preset: Preset) -> list[str]:
    """Returns warnings about a preset on local weights: unbound, or too hot without a cut."""
    found = [preset.unbound] if preset.unbound else []
    values_by_mode = {
        f"mode {mode.name}: ": {**preset.values, **mode.values} for mode in preset.modes
    }
    for prefix, values in (values_by_mode or {"": {**preset.values}}).items():
        if needs_truncation(values):
            found.append(
                f"{prefix}temperature {values['temperature']} without truncation is outside every"
                f" vendor's range for local weights (at most {highest_temperature():g})"
            )
    return found
