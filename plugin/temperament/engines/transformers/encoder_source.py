"""Stages that read the input of a model's encoder: its *source*.

A logits processor sees the decoder's tokens alone. `encoder_repetition_penalty` and
`encoder_no_repeat_ngram_size` read the source instead, and run before all other stages, as
Transformers' own do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.request import request_of
from temperament.batch.run import Context, execute
from temperament.batch.suffix_matches import rebuild
from temperament.batch.table import Table
from temperament.errors import EngineError, Problem
from temperament.ops.history import History, Matches
from temperament.presets import Preset
from temperament.stages import PARAMETERS

OF_THE_SOURCE = ("encoder_no_repeat_ngram_size", "encoder_repetition_penalty")
# No text has this token. It stands between a source and the decoder's text, so that no n-gram has
# tokens of both.
_BETWEEN = -1


class SourceStages:
    """The stages of `presets` that read the source, for the rows of a `generate`.

    `sources` are the token ids of each prompt's source, without padding. Raises `EngineError` if a
    mode of a preset sets such a stage.
    """

    def __init__(self, presets: Sequence[Preset], sources: Sequence[Sequence[int]]) -> None:
        problems = set_in_modes(presets)
        if problems:
            raise EngineError(problems)
        self._requests = [request_of(only_the_source(preset)) for preset in presets]
        self._sources = sources
        self._table: Table | None = None
        # [rows, positions] int64: the sources, each ending at the last position
        self._tokens = torch.zeros(0, 0, dtype=torch.int64)
        # [rows] int64: where each begins
        self._start = torch.zeros(0, dtype=torch.int64)
        self._prompt_length = 0

    def begin(self, input_ids: Tensor, device: torch.device) -> None:
        """Sets up the rows of a call of `generate`; `input_ids` ([rows, length]) are its first.

        Raises `EngineError` if the sources can't be divided among the rows.
        """
        count, self._prompt_length = input_ids.shape
        if count % len(self._sources):
            message = f"{len(self._sources)} sources for {count} rows"
            raise EngineError(Problem("generate", "inputs", "one source for each prompt", message))
        self._table = Table(count, device)
        longest = max(map(len, self._sources))
        tokens = np.full((count, longest), _BETWEEN, dtype=np.int64)
        start = np.full(count, longest, dtype=np.int64)
        for row in range(count):
            self._table.write(row, self._requests[row * len(self._requests) // count])
            source = self._sources[row * len(self._sources) // count]
            start[row] -= len(source)
            tokens[row, start[row] :] = source
        self._tokens = torch.from_numpy(tokens).to(device)
        self._start = torch.from_numpy(start).to(device)

    def run(self, logits: Tensor, input_ids: Tensor) -> Tensor:
        """Runs the stages on [rows, vocab] float32 logits, in place, and returns them."""
        assert self._table is not None
        rows, length = input_ids.shape
        places = np.arange(rows, dtype=np.int64)
        if not self._table.active(places):
            return logits
        between = torch.full_like(self._start, _BETWEEN)[:, None]
        tokens = torch.cat([self._tokens, between, input_ids.to(self._tokens.device)], dim=1)
        source_end = torch.full_like(self._start, self._tokens.shape[1])
        history = History(tokens, self._start, source_end, source_end + 1 + length)
        context = Context(
            history, position=torch.full_like(self._start, length - self._prompt_length)
        )
        if self._table.uses("matches")[places].any():
            context.matches = Matches(rebuild(history))
        return execute(logits, self._table.steps(places, logits.shape[1]), context)


def only_the_source(preset: Preset) -> Preset:
    """Returns a preset with no other stages than those that read the source."""
    values = {name: value for name, value in preset.values.items() if name in OF_THE_SOURCE}
    return replace(preset, values=values, order=(), modes=(), switch=(), start="", generation={})


def without_the_source(preset: Preset) -> Preset:
    """Returns a preset without the stages that read the source."""
    values = {name: value for name, value in preset.values.items() if name not in OF_THE_SOURCE}
    return replace(preset, values=values)


def reads_the_source(preset: Preset) -> list[str]:
    """Returns the fields of a preset, and of its modes, that read the source and aren't neutral."""
    layers = [preset.values, *(mode.values for mode in preset.modes)]
    neutral = {name: PARAMETERS[name].neutral for name in OF_THE_SOURCE}
    return [
        name
        for name, value in neutral.items()
        if any(values.get(name, value) != value for values in layers)
    ]


def set_in_modes(presets: Sequence[Preset]) -> list[Problem]:
    """Returns a problem for each field that reads the source and is set in a mode."""
    message = "is set in a mode, but reads the encoder's text, which is the same in all modes"
    return [
        Problem("generate", name, message, allowed="outside of modes")
        for name in OF_THE_SOURCE
        if any(name in mode.values for preset in presets for mode in preset.modes)
    ]


def sources_of(inputs: Any, pad: int | None) -> list[list[int]]:
    """Returns the token ids of each source, without padding.

    `inputs` are those of `model.generate`: a map with `input_ids` and perhaps `attention_mask`, or
    the ids alone, [prompts, length]. Without a mask, `pad` is padding. Raises `EngineError` for
    others.
    """
    ids, mask = inputs, None
    if isinstance(inputs, Mapping):
        ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    try:
        tokens = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError):
        tokens = torch.zeros(0)
    if tokens.dim() != 2 or tokens.is_floating_point() or not len(tokens):
        what = sorted(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        allowed = "what goes to generate: input_ids, [prompts, length]"
        raise EngineError(Problem("generate", "inputs", "has no token ids", str(what), allowed))
    if mask is not None:
        text = torch.as_tensor(mask).bool()
    elif pad is not None:
        text = tokens != pad
    else:
        text = torch.ones_like(tokens, dtype=torch.bool)
    return [row[kept].tolist() for row, kept in zip(tokens, text, strict=True)]
