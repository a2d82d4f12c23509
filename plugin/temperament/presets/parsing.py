"""Turns the data of a file or a request into a checked preset, and reports every problem."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from pydantic import BaseModel, ValidationError

from temperament.errors import MOST, PresetError, Problem, nearest, shown
from temperament.presets import fields, mode_checks
from temperament.presets.fields import ALLOWED, FACTOR_ALLOWED, MAX_SECTIONS, NOT_IN_SECTIONS, PAIR
from temperament.presets.generation_fields import GENERATION, SYNONYMS
from temperament.presets.modes import Mode
from temperament.presets.preset import Preset, mode_of
from temperament.presets.problems import Locate, field_problems
from temperament.presets.rule_fields import RuleFields, valid_rules
from temperament.presets.source import MAX_VALUES, Path
from temperament.stages import PARAMETERS

_MODE_FIELDS = frozenset({"modes", "start", "switch"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """The result of `parse`. `preset` has every field without a problem.

    What the preset extends isn't merged in: `parent` names it, None if there is nothing.
    """

    preset: Preset
    parent: str | None = None
    problems: tuple[Problem, ...] = ()
    # The unchecked fields, by their names in `fields`.
    data: Mapping[str, Any] = field(default_factory=dict)
    # Whether no mode, start or rule is missing from `preset` because of a problem.
    modes_complete: bool = True

    @property
    def mode_names(self) -> frozenset[str]:
        """The names of all modes, those with problems too."""
        modes = self.data.get("modes")
        return frozenset(map(str, modes)) if isinstance(modes, Mapping) else frozenset()


def parse_preset(name: str, data: Any, *, where: str | Locate = "") -> tuple[Preset, str | None]:
    """The checked preset of `data` without what it extends, and the name that it extends.

    `where` names the source in problems, or locates a path in it. Raises `PresetError` with every
    problem.
    """
    locate = where if callable(where) else lambda _: where
    parsed = parse(name, data, locate)
    problems = list(parsed.problems)
    if problems and parsed.parent is None:
        problems += mode_checks.unknown_modes(parsed.data, parsed.mode_names, locate)
    if problems:
        raise PresetError(dict.fromkeys(problems))
    return parsed.preset, parsed.parent


def parse(name: str, data: Any, locate: Locate) -> Parsed:
    """The checked preset of `data`, with every problem of its fields.

    `locate` returns the place of a path in the source. Problems between modes are found once
    the preset is merged with what it extends: see `mode_checks`.
    """
    origin = locate(())
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        problem = Problem(origin, "", "not a preset", shown(data), "a map of names to values")
        return Parsed(Preset(name, origin=origin), problems=(problem,), modes_complete=False)
    if too_large(data):
        most = f"at most {MAX_VALUES} values, 16 characters of a text counting as one"
        problem = Problem(origin, "", "too large", allowed=most)
        return Parsed(Preset(name, origin=origin), problems=(problem,), modes_complete=False)
    problems: list[Problem] = []
    named, factors = _named_fields(data, locate, problems)
    sections = _sections(name, named.pop("models", None), locate, problems)
    checked, wrong = _validated(named, data, locate, problems)
    values = {key: getattr(checked, key) for key in checked.model_fields_set}
    summary = values.get("summary")
    modes: dict[str, BaseModel] = values.get("modes") or {}
    rules: tuple[RuleFields, ...] = values.get("switch") or ()
    preset = Preset(
        name=name,
        values={key: values[key] for key in PARAMETERS if key in values},
        order=values.get("order", ()),
        generation={key: values[key] for key in GENERATION if key in values},
        summary=summary.model_dump(exclude_unset=True) if summary else {},
        source=values.get("source", ""),
        aliases=values.get("aliases", ()),
        origin=origin,
        alone=values.get("alone", False),
        pick=tuple(rule.rule() for rule in values.get("pick") or ()),
        relative=factors,
        from_model=values.get("from_model", ""),
        temperature_scale=values.get("temperature_scale", ""),
        sections=sections,
        modes=tuple(
            _mode(mode, mode_fields, values.get("temperature_scale", ""))
            for mode, mode_fields in modes.items()
        ),
        start=values.get("start", ""),
        switch=tuple(rule.rule() for rule in rules),
    )
    return Parsed(
        preset,
        values.get("extends"),
        tuple(problems),
        named,
        modes_complete=not _lacks_modes(named, data, wrong),
    )


def _lacks_modes(
    named: Mapping[str, Any], data: Mapping[Any, Any], wrong: Collection[Path]
) -> bool:
    """Whether a problem removed a mode, the start or the rules of `data` from the checked preset.

    `named` are the fields under the names of `fields` (`_named_fields`), and `wrong` are the paths
    of their problems.
    """
    if any(name in data and name not in named for name in _MODE_FIELDS):  # without a value
        return True
    known = list(fields.model().model_fields)
    misspelt = (nearest(name, known) for name in named.keys() - set(known))
    if any(_MODE_FIELDS & set(close) for close in misspelt):
        return True
    return any(
        path[0] in _MODE_FIELDS
        # a wrong value in a mode is removed, and the mode stays
        and not (path[0] == "modes" and len(path) > 2 and path[2] != "[key]")
        for path in wrong
    )


def check_modes(
    preset: Preset,
    parsed: Sequence[Parsed],
    presets: Mapping[str, Preset],
    locate: Locate,
    unreadable: Collection[str] = (),
    *,
    complete: bool = True,
) -> tuple[Preset, list[Problem]]:
    """`preset` with what its modes extend merged in, and every problem of its modes and rules.

    `parsed` are the preset's file and those that it extends; `preset` is already merged with them.
    Modes can extend `presets`. `unreadable` names presets whose files exist but can't be read.
    Unless `complete`, a preset that this one extends is missing. Any of `presets` may have been
    meant, so a mode's name is a problem only if none of them has that mode.
    """
    mode_names = {name for each in parsed for name in each.mode_names}
    mode_names |= {mode.name for mode in preset.modes}
    inherited: set[str] = set()
    if not complete:
        inherited = {mode.name for each in presets.values() for mode in each.modes}
    also_known = {*mode_names, *inherited, *unreadable}
    preset, problems = mode_checks.extend_modes(preset, presets, locate, also_known)
    if not complete:
        problems += mode_checks.unknown_modes(parsed[0].data, mode_names, locate, inherited)
    elif all(each.modes_complete for each in parsed):
        problems += mode_checks.mode_problems(preset, locate)
    else:
        problems += mode_checks.unknown_modes(parsed[0].data, mode_names, locate)
        rules = valid_rules(parsed[0].data.get("switch"), mode_names)
        problems += mode_checks.shadowed_rules(rules, mode_names, locate)
    return preset, problems


def too_large(data: Any) -> bool:
    """Whether `data` has more values than any preset needs: each can become a problem to report."""
    count, waiting = 0, [data]
    while waiting and count <= MAX_VALUES:
        inner = waiting.pop()
        if isinstance(inner, Mapping):
            count += 2 * len(inner)
            waiting += inner.keys()
            waiting += inner.values()
        elif isinstance(inner, (list, tuple)):
            count += len(inner)
            waiting += inner
        elif isinstance(inner, str):
            count += len(inner) // 16
    return count > MAX_VALUES


def _named_fields(
    data: Mapping[Any, Any], locate: Locate, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Returns the fields that aren't factors, with synonyms replaced, and the factors."""
    named: dict[str, Any] = {}
    factors: dict[str, float] = {}
    data = _unpaired(data)
    if isinstance(modes := data.get("modes"), Mapping):
        data = {**data, "modes": {name: _unpaired(mode) for name, mode in modes.items()}}
    for key, value in data.items():
        if not isinstance(key, str):
            problems.append(Problem(locate((key,)), shown(key), "unknown name"))
            continue
        field_name = SYNONYMS.get(key, key)
        if value is None and field_name in ALLOWED:
            allowed = ALLOWED[field_name]
            problems.append(Problem(locate((key,)), key, "has no value", allowed=allowed))
        elif field_name != key and field_name in data:
            message = f"is another name of {field_name}, which is set too"
            problems.append(Problem(locate((key,)), key, message, allowed="one of them"))
        elif _is_factor(key, value):
            factor = value["scale"]
            number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
            if number and 0 < factor < inf and set(value) == {"scale"}:
                factors[key] = float(factor)
            else:
                wrong = shown(value)
                problems.append(Problem(locate((key,)), key, "not allowed", wrong, FACTOR_ALLOWED))
        else:
            named[field_name] = value
    return named, factors


def _unpaired(data: Any) -> Any:
    """Returns the fields of a preset or a mode without the pair that Transformers writes.

    `exponential_decay_length_penalty: [start, factor]` sets two parameters. Beside an
    `exponential_decay_start` it stays, and is reported.
    """
    pair = data.get(PAIR[1]) if isinstance(data, Mapping) else None
    if not isinstance(pair, (list, tuple)) or len(pair) != len(PAIR) or PAIR[0] in data:
        return data
    return {**data, **dict(zip(PAIR, pair, strict=True))}


def _is_factor(key: str, value: Any) -> bool:
    scalable = key in PARAMETERS and PARAMETERS[key].scalable
    return scalable and isinstance(value, Mapping) and "scale" in value


def _validated(
    named: Mapping[str, Any], data: Mapping[Any, Any], locate: Locate, problems: list[Problem]
) -> tuple[BaseModel, frozenset[Path]]:
    """The model of all fields without a problem, and the paths of the problems."""
    model = fields.model()
    left: dict[str, Any] = dict(named)
    try:
        return model.model_validate(left), frozenset()
    except ValidationError as error:
        found = list(field_problems(error, data, locate))
    problems += (problem for _, problem in found)
    if len(found) > MOST or not all(path for path, _ in found):  # there may be further problems
        return model(), frozenset((name,) for name in named)
    wrong = frozenset(path for path, _ in found)
    for path, _ in found:
        left = _without(left, path)
    try:
        return model.model_validate(left), wrong
    except ValidationError as error:  # a map of modes from which every mode was removed
        for details in error.errors(include_url=False):
            left.pop(str(details["loc"][0]), None)
    return model.model_validate(left), wrong


def _without(named: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Returns the fields without the one at `path`; inside a mode, only that field is removed."""
    left = dict(named)
    field_name = str(path[0])
    if field_name == "modes" and len(path) > 1 and isinstance(left.get("modes"), Mapping):
        modes = dict(left["modes"])
        mode = modes.pop(path[1], None)
        if len(path) > 2 and path[2] != "[key]" and isinstance(mode, Mapping):
            modes[path[1]] = {key: value for key, value in mode.items() if key != path[2]}
        return {**left, "modes": modes}
    left.pop(field_name, None)
    return left


def _sections(name: str, data: Any, locate: Locate, problems: list[Problem]) -> dict[str, Preset]:
    """The sections of `models`, by pattern in lower case; their problems go to `problems`."""
    if data is None:
        return {}
    allowed = ALLOWED["models"]
    if not isinstance(data, Mapping) or len(data) > MAX_SECTIONS:
        here = locate(("models",))
        problems.append(Problem(here, "models", "not allowed", shown(data), allowed))
        return {}
    sections = {}
    for pattern, section in data.items():
        if len(problems) > MOST:  # more than are reported
            break
        prefix, here = f"models.{pattern}", locate(("models", pattern))
        if not isinstance(pattern, str) or not pattern or not isinstance(section, Mapping):
            problems.append(Problem(here, prefix, "not allowed", shown(section), allowed))
            continue
        kept = {}
        for key, value in section.items():
            if key in NOT_IN_SECTIONS:
                path = ("models", pattern, key)
                message = "belongs outside of models"
                problems.append(Problem(locate(path), f"{prefix}.{key}", message))
            else:
                kept[key] = value

        def locate_inside(path: Path, pattern: str = pattern) -> str:
            return locate(("models", pattern, *path))

        parsed = parse(name, kept, locate_inside)
        sections[pattern.lower()] = parsed.preset
        problems += (
            Problem(p.where, f"{prefix}.{p.path}", p.message, p.given, p.allowed, p.nearest)
            for p in parsed.problems
        )
    return sections


def _mode(name: str, mode_fields: BaseModel, scale: str) -> Mode:
    """The mode of checked fields. `scale` is the preset's, for a mode that names none."""
    values = {key: getattr(mode_fields, key) for key in mode_fields.model_fields_set}
    values = {key: value for key, value in values.items() if value is not None}
    fallback = values.get("fallback")
    preset = Preset(
        name,
        {key: values[key] for key in PARAMETERS if key in values},
        values.get("order", ()),
        temperature_scale=values.get("temperature_scale", scale),
        fallback=fallback.model_dump(exclude_unset=True) if fallback is not None else {},
    )
    return mode_of(preset, values.get("extends"))
