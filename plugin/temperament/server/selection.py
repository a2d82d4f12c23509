"""Which preset a request names: a field, the model's suffix, a header, a word in `vllm_xargs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from temperament.errors import Problem, RequestError, TemperamentError, shown
from temperament.presets import Catalogue, Preset

FIELD = "preset"
HEADER = "x-sampling-preset"
SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Selection:
    """The preset that was named, if any, and the model's name without a preset's."""

    preset: Preset | None
    model: Any


def select(
    body: Mapping[str, Any],
    header: str | None,
    catalogue: Catalogue,
    serves: Callable[[str], bool],
) -> Selection:
    """The preset that a request names.

    `serves` tells whether a text is a served model's name. Raises `RequestError` with every
    unknown name and with words that disagree.
    """
    words: dict[str, Any] = {}
    model = body.get("model")
    if isinstance(model, str) and SEPARATOR in model and not serves(model):
        served, _, suffix = model.rpartition(SEPARATOR)
        if serves(served):
            words["model"], model = suffix, served
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
            found[where] = catalogue.resolve(word, where="request")
        except TemperamentError as error:
            problems += (
                Problem("request", where, p.message, p.given, p.allowed, p.nearest)
                for p in error.problems
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
            )
        )
    if problems:
        raise RequestError(problems)
    return Selection(next(iter(found.values()), None), model)
