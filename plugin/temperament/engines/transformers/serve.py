"""Presets for `transformers serve`, by the `generate` that a model's folder may bring.

The folder's `custom_generate/generate.py` has one line::

    from temperament.engines.transformers.serve import generate

With `--trust-remote-code` the server calls it for each request, and a body's `generation_config`
then names a preset::

    {"messages": [...], "generation_config": "{\\"preset\\": \\"creative\\"}"}

With `--continuous-batching` the server calls no `generate`, and passes nothing of a request on to
its manager: the model isn't loaded then, rather than leave the presets out. That ends a start that
names the model, and answers 400 to a request that does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from fastapi import HTTPException

from temperament.engines.transformers.arguments import generate_kwargs
from temperament.errors import EngineError, Problem, TemperamentError, shown
from temperament.plan.targets.transformers import TRANSFORMERS
from temperament.presets import Catalogue, Preset
from temperament.presets.generation_fields import NO_SEED
from temperament.presets.resolve import resolve

WHERE = "transformers serve"
# A text's length where neither the request nor its preset sets one: the server's own.
MOST_TOKENS = 1024
# The server takes one text from `generate`, as a tensor.
_ONE_TEXT: Mapping[str, Any] = {
    "num_return_sequences": 1,
    "return_dict_in_generate": False,
    "is_assistant": False,
}
# What Transformers calls fields of a preset: {"max_new_tokens": "max_tokens", ...}
_NAMES = {
    route.where: name for name, route in TRANSFORMERS.generation.items() if route.how == "native"
}

if "--continuous-batching" in sys.argv:
    _REFUSAL = Problem(
        WHERE,
        "--continuous-batching",
        "passes nothing of a request on to its manager, so presets would be left out",
        allowed="without it, or a folder without custom_generate",
    )
    raise HTTPException(400, str(EngineError(_REFUSAL)))


def generate(
    model: Any, generation_config: Any = None, tokenizer: Any = None, **inputs: Any
) -> Any:
    """Returns what the model's own `generate` does, under the preset that the request names.

    Whatever else the request sets lies above its preset. Without `preset` in `generation_config`
    the call is the model's own. The seed of a request fixes the noise of its stages too.

    Raises `HTTPException` 400, with every problem, for a preset that can't run.
    """
    plain_generate = type(model).generate
    fields = _fields(generation_config)
    name = fields.pop("preset", None)
    if name is None:
        return plain_generate(
            model, generation_config=generation_config, tokenizer=tokenizer, **inputs
        )
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # of a processor
    try:
        preset = resolve(name, _catalogue(), fields=fields, where="generation_config")
        _check_one_text(preset)
        seeds = None
        if preset.generation.get("seed", NO_SEED) == NO_SEED:
            seeds = [int(torch.randint(2**62, ()))]
        kwargs = generate_kwargs(preset, tokenizer, model=model, seeds=seeds)
    except TemperamentError as error:
        raise HTTPException(400, _text(error, streaming="streamer" in inputs)) from error
    length = {"max_new_tokens": max(MOST_TOKENS, model.generation_config.max_new_tokens or 0)}
    if kwargs.keys() & {"max_new_tokens", "max_length"}:
        length = {}
    return plain_generate(model, **{**inputs, "tokenizer": tokenizer, **length, **kwargs})


@cache
def _catalogue() -> Catalogue:
    return Catalogue.load()


def _fields(config: Any) -> dict[str, Any]:
    """Returns what a request set in its `GenerationConfig`, by the names of presets' fields."""
    attributes = {} if config is None else vars(config)
    fields = {
        _NAMES.get(name, name): value
        for name, value in attributes.items()
        if value is not None and not name.startswith("_")
    }
    biases = fields.get("sequence_bias")
    if isinstance(biases, Mapping):  # the server's form of `logit_bias`
        fields["sequence_bias"] = [[list(tokens), bias] for tokens, bias in biases.items()]
    return fields


def _check_one_text(preset: Preset) -> None:
    """Raises `EngineError` for fields that change what `generate` returns."""
    problems = [
        Problem(WHERE, name, "the server takes one text from generate", shown(value), shown(only))
        for name, only in _ONE_TEXT.items()
        if (value := preset.generation.get(name, only)) != only
    ]
    if problems:
        raise EngineError(problems)


def _text(error: TemperamentError, *, streaming: bool) -> str:
    """Returns the problems of an error; the server writes a stream's into JSON as they are."""
    return json.dumps(str(error), ensure_ascii=False)[1:-1] if streaming else str(error)
