"""Which preset a request names or brings: a field, the model's suffix, a header, `vllm_xargs`."""

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
    """The preset that a request names, if any, and the model's name without the preset's."""

    preset: Preset | None
    model: Any
    # the model's name with the preset's, where the request names it so
    alias: str = ""


def select(
    body: Mapping[str, Any],
    header: str | None,
    catalogue: Catalogue,
    serves: Callable[[str], bool],
    restrictions: Restrictions,
) -> Selection:
    """Returns the preset that a request names, or brings.

    `serves` tells whether a text is a served model's name. Raises `RequestError` with every
    unknown name, with names that disagree, and with what isn't allowed.
    """
    given: dict[str, Any] = {}
    alias = ""
    model = body.get("model")
    if isinstance(model, str) and SEPARATOR in model and not serves(model):
        served, _, suffix = model.rpartition(SEPARATOR)
        if serves(served):
            given["model"], model, alias = suffix, served, model
    if body.get(FIELD) is not None:
        given[FIELD] = body[FIELD]
    if header is not None:
        given[f"header {HEADER}"] = header
    xargs = body.get("vllm_xargs")
    if isinstance(xargs, Mapping) and xargs.get(FIELD) is not None:
        given[f"vllm_xargs.{FIELD}"] = xargs[FIELD]

    found: dict[str, Preset] = {}
    problems: list[Problem] = []
    for where, value in given.items():
        try:
            if where == FIELD and isinstance(value, Mapping):
                found[where] = _inline(value, catalogue, restrictions)
            else:
                found[where] = catalogue.resolve(value, where="request")
                problems += restrictions.naming(found[where], where, catalogue)
        except TemperamentError as error:
            problems += (
                replace(p, where="request", path=_inside(where, p.path)) for p in error.problems
            )
    if len({preset.name for preset in found.values()}) > 1:
        names = ", ".join(f"{where} says {preset.name}" for where, preset in found.items())
        problems.append(
            Problem(
                "request",
                FIELD,
                f"ways of naming a preset disagree: {names}",
                shown(list(given.values())),
                "one preset",
                reason="contradiction",
            )
        )
    if problems:
        raise RequestError(problems)
    return Selection(next(iter(found.values()), None), model, alias)


def _inline(data: Mapping[str, Any], catalogue: Catalogue, restrictions: Restrictions) -> Preset:
    if refused := list(restrictions.inlining(data, catalogue)):
        raise RequestError(refused)
    problems = list(restrictions.contents(data, catalogue))
    try:
        preset = as_preset(data, catalogue)
        problems += inline_size(preset)
    except TemperamentError as error:
        problems += error.problems
    if problems:
        raise RequestError(problems)
    return preset


def _inside(where: str, path: str) -> str:
    """Returns the path of a problem with a preset's name, or with a value inside a preset."""
    return where if path in ("", FIELD) else f"{where}.{path.removeprefix(f'{FIELD}.')}"
