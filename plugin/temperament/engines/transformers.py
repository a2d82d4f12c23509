"""Presets for `model.generate`: a logits processor, and everything else that a preset says.

::

    kwargs = temperament.transformers.generate_kwargs(["code", "chat"], tokenizer, model=model)
    model.generate(**inputs, **kwargs)

The whole chain runs in our processor. Transformers puts a user's processors before its own
warpers and adds a `top_k` of 50 by itself, so its own sampling fields are set to do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from temperament.batch.run import execute
from temperament.batch.table import Table
from temperament.errors import EngineError, Problem, shown
from temperament.ops.inputs import History
from temperament.plan import targets
from temperament.presets import Catalogue, Preset, as_preset
from temperament.stages import PARAMETERS

Presets = str | Mapping[str, Any] | Preset | Sequence[str | Mapping[str, Any] | Preset]

# Fields of a GenerationConfig that are stages of ours. What a model's file sets for them lies
# below the presets; given to `generate` neutral, none acts a second time.
_NEUTRAL: Mapping[str, Any] = targets.TRANSFORMERS.fields


class PresetLogitsProcessor(LogitsProcessor):
    """Runs presets on the rows of a batch: one for all rows, or one for each prompt.

    Where `generate` makes several rows of a prompt (`num_return_sequences`, beams), they follow
    their prompt's preset. A row's own padding on the left (`pad_token_id`) doesn't count as text.
    The history is read from `input_ids` at every step, so beams may reorder rows. A new call of
    `generate` is recognised by its shorter `input_ids`; the processor may be used again.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        presets: Presets,
        *,
        pad_token_id: int | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._many = isinstance(presets, Sequence) and not isinstance(presets, str)
        given = list(presets) if self._many else [presets]
        catalogue = catalogue or Catalogue.load()
        self.presets = [as_preset(preset, catalogue) for preset in given]
        self._pad = pad_token_id
        self._table: Table | None = None
        self._slots = np.zeros(0, dtype=np.int64)
        self._length = -1
        self._prompt_length = 0
        # [rows] where each row's text begins behind its padding
        self._start: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[rows, length] ids and [rows, vocab] scores; returns new float32 scores."""
        rows, length = input_ids.shape
        if self._table is None or len(self._slots) != rows or self._table.device != scores.device:
            self._prepare(rows, scores.device)
            self._length = -1
        assert self._table is not None
        if length != self._length + 1:
            self._begin(input_ids)
        self._length = length
        steps = self._table.steps(self._slots, scores.shape[1])
        history = self._history(input_ids) if self._table.uses("history").any() else None
        return execute(scores.to(torch.float32, copy=True), steps, history)

    def _prepare(self, rows: int, device: torch.device) -> None:
        prompts = len(self.presets)
        if rows % prompts:
            raise EngineError(
                Problem(
                    "generate",
                    "",
                    "one preset, or one for each prompt",
                    f"{prompts} presets for {rows} rows",
                    f"1 preset, or a divisor of {rows}",
                )
            )
        self._table = Table(rows, device)
        self._slots = np.arange(rows, dtype=np.int64)
        chains = [preset.chain for preset in self.presets]
        for row in range(rows):
            self._table.write(row, chains[row * prompts // rows])

    def _begin(self, input_ids: Tensor) -> None:
        self._prompt_length = input_ids.shape[1]
        self._start = torch.zeros(input_ids.shape[0], dtype=torch.int64, device=input_ids.device)
        if self._pad is not None and self._prompt_length:
            text = input_ids != self._pad
            self._start = torch.where(
                text.any(1), text.int().argmax(1), torch.zeros_like(self._start)
            )

    def _history(self, input_ids: Tensor) -> History:
        assert self._start is not None
        start, length = self._start, input_ids.shape[1]
        return History(
            input_ids,
            start,
            torch.full_like(start, self._prompt_length),
            torch.full_like(start, length),
        )


def generate_kwargs(
    presets: Presets,
    tokenizer: Any = None,
    *,
    model: Any = None,
    catalogue: Catalogue | None = None,
) -> dict[str, Any]:
    """Everything that presets say, as keyword arguments for `model.generate(**inputs, ...)`.

    `presets` is one preset for all prompts or one for each prompt of the batch. `tokenizer` tells
    the padding and is needed for `stop`. With `model` given, what its `generation_config.json`
    sets lies below the presets, as in vLLM; without it, what the presets don't name is neutral.

    Raises `PresetError` for an unknown preset or a wrong value, `EngineError` for what
    `generate` can't do for a batch: different `max_tokens` or `stop` in one call, or `seed`.
    """
    many = isinstance(presets, Sequence) and not isinstance(presets, str)
    catalogue = catalogue or Catalogue.load()
    resolved = [as_preset(preset, catalogue) for preset in (presets if many else [presets])]
    if model is not None:
        base = model_defaults(model)
        resolved = [preset.over(base) for preset in resolved]
    kwargs: dict[str, Any] = {
        "logits_processor": LogitsProcessorList(
            [
                PresetLogitsProcessor(
                    resolved if many else resolved[0],
                    pad_token_id=getattr(tokenizer, "pad_token_id", None),
                    catalogue=catalogue,
                )
            ]
        ),
        "do_sample": True,
        **_NEUTRAL,
    }
    kwargs.update(_generation(resolved, tokenizer))
    return kwargs


def model_defaults(model: Any) -> Preset:
    """What a model's `generation_config.json` sets of our stages, as the lowest preset."""
    config = model.generation_config
    values = {
        name: value
        for name in PARAMETERS
        if (value := getattr(config, name, None)) is not None and name in _NEUTRAL
    }
    return as_preset(values, Catalogue({}))


def _generation(presets: Sequence[Preset], tokenizer: Any) -> dict[str, Any]:
    problems = []
    kwargs: dict[str, Any] = {}
    for field in ("max_tokens", "stop", "seed"):
        said = [preset.generation.get(field) for preset in presets]
        if all(value is None for value in said):
            continue
        if field == "seed":
            problems.append(
                Problem(
                    "generate",
                    field,
                    "Transformers draws every row from one generator",
                    shown(said),
                    "call torch.manual_seed(...) before generate",
                )
            )
        elif len(set(said)) > 1:
            problems.append(
                Problem(
                    "generate",
                    field,
                    "differs between the presets of one call",
                    shown(said),
                    "the same in all, or one call for each",
                )
            )
        elif field == "stop" and tokenizer is None:
            problems.append(Problem("generate", field, "needs the tokenizer", shown(said)))
        elif field == "stop":
            kwargs.update(stop_strings=list(said[0] or ()), tokenizer=tokenizer)
        else:
            kwargs["max_new_tokens"] = said[0]
    if problems:
        raise EngineError(problems)
    return kwargs
