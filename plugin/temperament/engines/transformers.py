"""Presets for `model.generate`: a logits processor, and everything else that a preset says.

::

    kwargs = temperament.transformers.generate_kwargs(["code", "chat"], tokenizer, model=model)
    model.generate(**inputs, **kwargs)

The whole chain runs in our processor. Transformers puts a user's processors before its own
warpers and adds a `top_k` of 50 by itself, so its own sampling fields are set to do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from temperament.batch.process import check_tokenizer, request_of, sample_seed, seed_of
from temperament.batch.rows import TOKENS, Rows
from temperament.engines import generation
from temperament.errors import EngineError, Problem
from temperament.ops.history import History
from temperament.plan import targets
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset, Presets, as_preset, as_presets
from temperament.presets.models import facts_of_config
from temperament.stages import PARAMETERS

# Fields of a GenerationConfig that are stages of ours. What a model's file sets for them lies
# below the presets; given to `generate` neutral, none acts a second time. `generate` refuses a
# field that its version doesn't know (4.57 has no top_h).
_NEUTRAL: Mapping[str, Any] = {
    name: value
    for name, value in targets.TRANSFORMERS.fields.items()
    if hasattr(GenerationConfig(), name)
}


class PresetLogitsProcessor(LogitsProcessor):
    """Runs presets on the rows of a batch: one for all rows, or one for each prompt.

    Where `generate` makes several rows of a prompt (`num_return_sequences`, beams), they follow
    their prompt's preset. A row's padding on the left (the tokenizer's) doesn't count as text.
    `seeds`, one for each prompt, fix what stages with chance draw; `ends` are the ids that end a
    text, by default the tokenizer's.
    The history is read from `input_ids` at every step, so beams may reorder rows. A new call of
    `generate` is recognised by its prompts; the processor may be used again.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        presets: Presets,
        tokenizer: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        ends: Sequence[int] | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.presets, _ = as_presets(presets, Catalogue.load() if catalogue is None else catalogue)
        check_tokenizer(self.presets, tokenizer)
        self._tokenizer = tokenizer
        self._seeds = seeds
        end = getattr(tokenizer, "eos_token_id", None)
        self._ends = tuple([end] if isinstance(end, int) else end or ()) if ends is None else ends
        self._pad: int | None = getattr(tokenizer, "pad_token_id", None)
        self._rows: Rows | None = None
        self._slots = np.zeros(0, dtype=np.int64)
        # [rows, length] of the last step
        self._ids = torch.zeros(0, 0, dtype=torch.int64)
        self._prompt_length = 0
        # [rows] where each row's text begins behind its padding
        self._start = torch.zeros(0, dtype=torch.int64)
        # whether a row has modes
        self._modal = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[rows, length] ids and [rows, vocab] scores; returns new float32 scores."""
        rows, length = input_ids.shape
        same_rows = False
        if self._rows is None or self._rows.device != scores.device or not self._goes_on(input_ids):
            self._rows = self._begin(input_ids, scores)
        elif self._ids.shape[1] == length - 1:
            same_rows = self._follow(input_ids[:, :-1])
        self._ids = input_ids
        history, ends = None, None
        if self._rows.uses(self._slots, *TOKENS).any():
            history = History(
                input_ids,
                self._start,
                torch.full_like(self._start, self._prompt_length),
                torch.full_like(self._start, length),
            )
            # Where rows don't go on from those of the last step, all is read anew.
            ends = np.full(rows, length) if same_rows else None
            if ends is None and self._modal:
                self._read_modes(input_ids)
        return self._rows.run(scores.to(torch.float32, copy=True), self._slots, history, ends)

    @property
    def modes(self) -> list[int]:
        """The mode that each row was drawn in last, by its number in its preset."""
        assert self._rows is not None and self._rows.drawn_in is not None
        return [int(mode) for mode in self._rows.drawn_in]

    def _goes_on(self, input_ids: Tensor) -> bool:
        """Whether this is a later step of the `generate` that has begun.

        Its prompts then stand where they stood (beams change places among a prompt's rows alone)
        and it is longer by one token at most: by fewer where drafts were refused.
        """
        begun, (rows, length) = self._prompt_length, input_ids.shape
        return (
            rows == self._ids.shape[0]
            and begun < length <= self._ids.shape[1] + 1
            and self._ids[:, :begun].equal(input_ids[:, :begun])
        )

    def _read_modes(self, input_ids: Tensor) -> None:
        """Follows every row's text from its beginning."""
        assert self._rows is not None
        length = input_ids.shape[1]
        starts = self._start.tolist()
        for row, (ids, start) in enumerate(zip(input_ids.tolist(), starts, strict=True)):
            middle = self._prompt_length
            self._rows.read(row, ids[start:middle], ids[middle:], length)

    def _follow(self, before: Tensor) -> bool:
        """Whether each row goes on from a row of the last step, whose memory it then has.

        Beams change places, and one may be followed by several.
        """
        if self._ids.equal(before):
            return True
        same = (before[:, None] == self._ids).all(-1)
        if self._rows is None or not bool(same.any(1).all()):
            return False
        self._rows.reorder(same.int().argmax(1))
        return True

    def _begin(self, input_ids: Tensor, scores: Tensor) -> Rows:
        """Takes the first step of a `generate`: its prompts, as many rows for each as it has."""
        count = input_ids.shape[0]
        seeds = self._seeds or [seed_of(preset) for preset in self.presets]
        for name, given in (("preset", len(self.presets)), ("seed", len(seeds))):
            if count % given:
                raise EngineError(
                    Problem(
                        "generate",
                        "",
                        f"one {name}, or one for each prompt",
                        f"{given} {name}s for {count} rows",
                        f"1 {name}, or a divisor of {count}",
                    )
                )
        tokenizer, size = self._tokenizer, scores.shape[1]
        vocabulary = None if tokenizer is None else lambda: TokenBytes.of(tokenizer, size)
        made = Rows(count, scores.device, vocabulary)
        requests = [request_of(preset, self._ends) for preset in self.presets]
        for row in range(count):
            request = requests[row * len(requests) // count]
            # Several rows of one seed draw differently: n samples are not one sample n times.
            prompt, sample = divmod(row, count // len(seeds))
            seed = sample_seed(seeds[prompt], sample)
            made.write(row, replace(request, seed=seed))
        self._modal = any(request.switching is not None for request in requests)
        self._slots = np.arange(count, dtype=np.int64)
        self._prompt_length = input_ids.shape[1]
        self._start = torch.zeros(count, dtype=torch.int64, device=input_ids.device)
        if self._pad is not None and self._prompt_length:
            text = input_ids != self._pad
            first = text.int().argmax(1)
            self._start = torch.where(text.any(1), first, self._start)
        return made


def generate_kwargs(
    presets: Presets,
    tokenizer: Any = None,
    *,
    model: Any = None,
    assistant_model: Any = None,
    seeds: Sequence[int] | None = None,
    catalogue: Catalogue | None = None,
) -> dict[str, Any]:
    """Everything that presets say, as keyword arguments for `model.generate(**inputs, ...)`.

    `presets` is one preset for all prompts or one for each prompt of the batch. `tokenizer` tells
    the padding and is needed for `stop`. With `model` given, what its `generation_config.json`
    sets lies below the presets, as in vLLM, and the tokens that it ends a text with end it here;
    its vendor's recommendations are what presets may be relative to. Without it, what the presets
    don't name is neutral. `seeds`, one for each prompt, fix what
    stages with chance draw. `assistant_model` is passed on; what the presets say of assisted
    generation is written into its `generation_config`, where alone Transformers reads it.

    Raises `PresetError` for an unknown preset or a wrong value, `EngineError` for what
    `generate` can't do (`plan.parameters`), or not for a batch: different generation parameters
    in one call, or `seed`.
    """
    catalogue = Catalogue.load() if catalogue is None else catalogue
    if model is not None:
        config = model.config
        catalogue = catalogue.for_model(facts_of_config(config._name_or_path, config.to_dict()))
    below = None if model is None else model_defaults(model)
    resolved, _ = as_presets(presets, catalogue, model_values=below)
    kwargs = generation.arguments(resolved, tokenizer, model, assistant_model)
    if not kwargs["do_sample"]:
        resolved = [generation.without_draw(preset) for preset in resolved]
    end = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    end = kwargs.get("eos_token_id", end)
    processor = PresetLogitsProcessor(
        resolved,
        tokenizer,
        seeds=seeds,
        ends=[end] if isinstance(end, int) else end,
    )
    return {"logits_processor": LogitsProcessorList([processor]), **_NEUTRAL, **kwargs}


def model_defaults(model: Any) -> Preset:
    """What a model's `generation_config.json` sets of our stages, as the lowest preset."""
    config = model.generation_config
    values = {
        name: value
        for name in PARAMETERS
        if (value := getattr(config, name, None)) is not None and name in _NEUTRAL
    }
    return as_preset(values, Catalogue({}))
