"""Which preset a request names or brings: a field, the model's suffix, a header, `vllm_xargs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from temperament.errors import Problem, RequestError, TemperamentError, shown
from temperament.presets import Catalogue, Preset, as_preset
from temperament.server.restrictions import Restrictions, own_size

FIELD = "preset"
HEADER = "x-sampling-preset"
SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Selection:
    """The preset that was named, if any, and the model's name without a preset's."""

    preset: Preset | None
    model: Any
    # the model's name with a preset's, where that was said
    alias: str = ""


def select(
    body: Mapping[str, Any],
    header: str | None,
    catalogue: Catalogue,
    serves: Callable[[str], bool],
    restrictions: Restrictions,
) -> Selection:
    """The preset that a request names, or brings.

    `serves` tells whether a text is a served model's name. Raises `RequestError` with every
    unknown name, with words that disagree, and with what isn't allowed.
    """
    words: dict[str, Any] = {}
    alias = ""
    model = body.get("model")
    if isinstance(model, str) and SEPARATOR in model and not serves(model):
        served, _, suffix = model.rpartition(SEPARATOR)
        if serves(served):
            words["model"], model, alias = suffix, served, model
    if body.get(FIELD) is not None:
        words[FIELD] = body[FIELD]
    if header is not None:
        words[f"header {HEADER}"] = header
    xargs = body.get("vllm_xargs")
    if isinstance(xargs, Mapping) and xargs.get(FIELD) is not None:
        words[f"vllm_xargs.{FIELD}"] = xargs[FIELD]

    found: dict[str, Preset] = {}
    problems: list[Problem] = []
    for where, word in words.items():
        try:
            if where == FIELD and isinstance(word, Mapping):
                found[where] = _inline(word, catalogue, restrictions)
            else:
                found[where] = catalogue.resolve(word, where="request")
                problems += restrictions.named(found[where], where, catalogue)
        except TemperamentError as error:
            problems += (
                replace(p, where="request", path=_inside(where, p.path)) for p in error.problems
            )
    if len({preset.name for preset in found.values()}) > 1:
        said = ", ".join(f"{where} says {preset.name}" for where, preset in found.items())
        problems.append(
            Problem(
                "request",
                FIELD,
                f"ways of naming a preset disagree: {said}",
                shown(list(words.values())),
                "one preset",
                reason="contradiction",
            )
        )
    if problems:
        raise RequestError(problems)
    return Selection(next(iter(found.values()), None), model, alias)


def _inline(given: Mapping[str, Any], catalogue: Catalogue, restrictions: Restrictions) -> Preset:
    restrictions.bring(given, catalogue)
    preset = as_preset(given, catalogue)
    if problems := list(own_size(preset)):
        raise RequestError(problems)
    return preset


def _inside(where: str, path: str) -> str:
    """The place of a problem with a name, or with a value inside a preset."""
    return where if path in ("", FIELD) else f"{where}.{path.removeprefix(f'{FIELD}.')}"
