"""The one place where the layers of a request become the preset that is sampled with.

The layers, from the top: the request's fields, the named preset, the default preset, the model's
values (its `generation_config.json`). A higher layer replaces what it names, neutral values too.
Below a preset that stands alone there is no further layer. Every entry point calls `resolve`: the
server, `LLM`, `generate`, `Run` and the studio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from temperament.errors import PresetError, Problem, UnknownPreset
from temperament.presets import mode_checks, parsing
from temperament.presets.catalogue import Catalogue
from temperament.presets.picking import pick_problems
from temperament.presets.preset import Preset

OnePreset = str | Mapping[str, Any] | Preset
Presets = OnePreset | Sequence[OnePreset]


def resolve(
    preset: OnePreset | None,
    catalogue: Catalogue,
    *,
    fields: Mapping[str, Any] | Preset | None = None,
    default: Preset | None = None,
    model_values: Preset | None = None,
    where: str = "",
) -> Preset:
    """Returns the preset that is sampled with, every number of it bound.

    `preset` is a name, a map of values (which may `extends` a name) or a `Preset`, None if the
    request names none. `fields` are the request's fields. `where` names the source in problems.

    Raises `UnknownPreset` for an unknown name, `PresetError` with every problem of the values, of
    the merged modes, or of what depends on an unknown model.
    """
    chosen, layer = None, fields if isinstance(fields, Preset) else None
    errors: list[PresetError] = []
    try:
        chosen = None if preset is None else named(preset, catalogue, where)
    except PresetError as error:
        errors.append(error)
    try:
        if fields and not isinstance(fields, Preset):
            layer = parse_fields(fields, where)
    except PresetError as error:
        errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise PresetError([problem for error in errors for problem in error.problems])
    merged = complete(merge(layer, chosen, default), catalogue, where or "preset")
    if merged.depends_on_model:
        merged = catalogue.bind(merged)
    return merge(require_one(require_bound(merged, where), where), model_values=model_values)


def merge(*layers: Preset | None, model_values: Preset | None = None) -> Preset:
    """Returns the layers, the highest first, as one preset; the model's values are the lowest.

    Layers that are None are left out, and those below one that stands alone. What depends on the
    model stays unbound, and what modes extend isn't filled in.
    """
    present: list[Preset] = []
    for layer in layers:
        if layer is not None:
            present.append(layer)
            if layer.alone:
                break
    merged = reduce(Preset.over, present) if present else Preset("request")
    return merged.over_model(model_values)


def parse_fields(fields: Mapping[str, Any], where: str = "") -> Preset:
    """Returns a request's fields as the topmost layer.

    Raises `PresetError` with every problem.
    """
    return parsing.parse_preset("request", dict(fields), where=where or "preset")[0]


def parse(data: object, catalogue: Catalogue, *, name: str = "inline", where: str = "") -> Preset:
    """Returns the preset of a map of values, bound to the catalogue's model.

    The map may extend a preset of `catalogue`. Raises `PresetError` with every problem.
    """
    place = where or "preset"
    parsed = parsing.parse(name, data, lambda _: place)
    preset, unknown = parsed.preset, []
    try:
        if parsed.parent is not None:
            preset = preset.extending(catalogue.resolve(parsed.parent))
    except UnknownPreset as error:
        unknown = [replace(problem, where=place, path="extends") for problem in error.problems]
    problems = [*parsed.problems]
    if preset.modes or preset.start or preset.switch:
        preset, found = parsing.check_modes(
            preset, [parsed], catalogue, lambda _: place, complete=not unknown
        )
        problems += found
    problems += pick_problems(parsed.data, catalogue.find, [*catalogue], lambda _: place)
    if problems:
        raise PresetError(dict.fromkeys([*problems, *unknown]))
    if unknown:
        raise UnknownPreset(unknown)
    return require_bound(catalogue.bind(preset), where)


def named(preset: OnePreset, catalogue: Catalogue, where: str = "") -> Preset:
    """Returns one layer: the preset of a name, of a map of values, or a `Preset`, bound if it can.

    Raises `UnknownPreset` or `PresetError` with every problem.
    """
    if isinstance(preset, Preset):
        return catalogue.bind(preset) if preset.depends_on_model else preset
    if isinstance(preset, Mapping):
        return parse(preset, catalogue, where=where)
    return catalogue.resolve(preset, where)


def complete(preset: Preset, presets: Mapping[str, Preset], where: str) -> Preset:
    """Returns `preset` with what its modes extend filled in.

    Raises `PresetError` with every problem of its modes, its start and its rules.
    """
    if not (preset.modes or preset.start or preset.switch):
        return preset
    completed, problems = mode_checks.extend_modes(preset, presets, lambda _: where)
    problems += mode_checks.mode_problems(completed, lambda _: where)
    if problems:
        raise PresetError(problems)
    return completed


def require_bound(preset: Preset, where: str = "") -> Preset:
    """Returns `preset`. Raises `PresetError` if it is unbound: its numbers depend on the model."""
    if preset.unbound:
        raise PresetError(Problem(where or preset.origin or "preset", preset.name, preset.unbound))
    return preset


def require_one(preset: Preset, where: str = "") -> Preset:
    """Returns `preset`. Raises `PresetError` if it leaves its numbers to a request."""
    if preset.pick:
        message = (
            "picks a preset by the request: a server does that, for presets that it has loaded"
        )
        place = where or preset.origin or "preset"
        raise PresetError(Problem(place, preset.name, message, allowed="a preset without 'pick'"))
    return preset


def as_preset(preset: OnePreset, catalogue: Catalogue) -> Preset:
    """Returns a name, a map of values (which may `extends` a name) or a `Preset` as a `Preset`.

    Raises what `resolve` raises, and `UnknownPreset` for anything else.
    """
    return resolve(named(preset, catalogue), catalogue)


def as_presets(
    presets: Presets, catalogue: Catalogue, *, model_values: Preset | None = None
) -> tuple[list[Preset], bool]:
    """Returns the presets of a batch, and whether there is one for each row.

    If not, there is one for all rows. Raises what `resolve` raises, and `UnknownPreset` for
    anything else.
    """
    single = isinstance(presets, (str, Mapping, Preset)) or not isinstance(presets, Iterable)
    each: Sequence[OnePreset] = [presets] if single else presets  # type: ignore[list-item,assignment]
    chosen = [named(one, catalogue) for one in each]
    return [resolve(one, catalogue, model_values=model_values) for one in chosen], not single
