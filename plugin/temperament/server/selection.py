"""The preset that a request names in a field, the model's suffix, a header or `vllm_xargs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from temperament.errors import Problem, RequestError, TemperamentError, shown
from temperament.presets import Catalogue, Preset, as_preset
from temperament.server.restrictions import Restrictions, inline_size

FIELD = "preset"
HEADER = "x-sampling-preset"
SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Selection:
    """The preset that a request names or defines, if any, and the model's name without a suffix."""

    preset: Preset | None
    model: Any
    # MODEL:PRESET, if the request names the preset in that way
    alias: str = ""


def select(
    body: Mapping[str, Any],
    header: str | None,
    catalogue: Catalogue,
    serves: Callable[[str], bool],
    restrictions: Restrictions,
) -> Selection:
    """Returns the preset that a request names or defines.

    `serves` returns whether a text is the name of a served model. Raises `RequestError` with every
    unknown name, with names that disagree, and with what isn't allowed.
    """
    requested: dict[str, Any] = {}  # by where the request names it
    alias = ""
    model = body.get("model")
    if isinstance(model, str) and SEPARATOR in model and not serves(model):
        served, _, suffix = model.rpartition(SEPARATOR)
        if serves(served):
            requested["model"], model, alias = suffix, served, model
    if body.get(FIELD) is not None:
        requested[FIELD] = body[FIELD]
    if header is not None:
        requested[f"header {HEADER}"] = header
    xargs = body.get("vllm_xargs")
    if isinstance(xargs, Mapping) and xargs.get(FIELD) is not None:
        requested[f"vllm_xargs.{FIELD}"] = xargs[FIELD]

    presets: dict[str, Preset] = {}
    problems: list[Problem] = []
    for where, value in requested.items():
        try:
            if where == FIELD and isinstance(value, Mapping):
                presets[where] = _inline(value, catalogue, restrictions)
            else:
                presets[where] = catalogue.resolve(value, where="request")
                problems += restrictions.check_name(presets[where], where, catalogue)
        except TemperamentError as error:
            problems += (
                replace(p, where="request", path=_problem_path(where, p.path))
                for p in error.problems
            )
    if len({preset.name for preset in presets.values()}) > 1:
        names = ", ".join(f"{where} says {preset.name}" for where, preset in presets.items())
        problems.append(
            Problem(
                "request",
                FIELD,
                f"ways of naming a preset disagree: {names}",
                shown(list(requested.values())),
                "one preset",
                reason="contradiction",
            )
        )
    if problems:
        raise RequestError(problems)
    return Selection(next(iter(presets.values()), None), model, alias)


def _inline(data: Mapping[str, Any], catalogue: Catalogue, restrictions: Restrictions) -> Preset:
    if refused := list(restrictions.check_inline(data, catalogue)):
        raise RequestError(refused)
    problems = list(restrictions.check_contents(data, catalogue))
    try:
        preset = as_preset(data, catalogue)
        problems += inline_size(preset)
    except TemperamentError as error:
        problems += error.problems
    if problems:
        raise RequestError(problems)
    return preset


def _problem_path(where: str, path: str) -> str:
    """Returns the path of a problem: of the field that names the preset, or inside the preset."""
    return where if path in ("", FIELD) else f"{where}.{path.removeprefix(f'{FIELD}.')}"
