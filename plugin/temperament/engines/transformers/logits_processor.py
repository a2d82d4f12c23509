"""The logits processor that runs presets on the rows of a `generate`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from temperament.batch.request import (
    check_tokenizer,
    request_of,
    sample_seed,
    seed_of,
    seed_or_new,
)
from temperament.batch.rows import TOKENS, Rows
from temperament.engines.transformers.encoder_source import SourceStages, without_the_source
from temperament.errors import EngineError, Problem
from temperament.ops.history import History
from temperament.plan.automata.mode_automaton import Switching
from temperament.plan.unseen import blind_to_embeddings
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset, Presets, as_presets
from temperament.presets.token_ids import check_tokens
from temperament.stages import BY_NAME


class PresetLogitsProcessor(LogitsProcessor):
    """Runs presets on the rows of a batch: one preset for all rows, or one for each prompt.

    All rows of a prompt (`num_return_sequences`, beams) have its preset. Padding on the left, by
    the tokenizer's `pad_token_id`, is no part of the text. `seeds`, one for each prompt, fix the
    noise of stages that draw random numbers; -1 is no seed. `ends` are the ids of the tokens that
    end a text; by default the tokenizer's. `source` are the token ids that a model's encoder
    reads for each prompt; without it the stages that read them read the decoder's prompt.

    Each step reads the history from `input_ids`, so beams may reorder rows. The processor may be
    used for several calls of `generate`: a new call is recognised by its prompts.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        presets: Presets,
        tokenizer: Any = None,
        *,
        seeds: Sequence[int] | None = None,
        ends: Sequence[int] | None = None,
        source: Sequence[Sequence[int]] | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.presets, _ = as_presets(presets, Catalogue.load() if catalogue is None else catalogue)
        self._source = None
        if source is not None:
            self._source = SourceStages(self.presets, source)
            self.presets = [*map(without_the_source, self.presets)]
        check_tokenizer(self.presets, tokenizer, ends)
        self._tokenizer = tokenizer
        self._seeds = seeds
        end = getattr(tokenizer, "eos_token_id", None)
        self._ends = tuple([end] if isinstance(end, int) else end or ()) if ends is None else ends
        self._pad: int | None = getattr(tokenizer, "pad_token_id", None)
        self._rows: Rows | None = None
        self._slots = np.zeros(0, dtype=np.int64)
        # [rows, length] the `input_ids` of the last step
        self._ids = torch.zeros(0, 0, dtype=torch.int64)
        self._prompt_length = 0
        # [rows] where each row's text begins, after its padding
        self._start = torch.zeros(0, dtype=torch.int64)
        self._has_modes = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Returns new [rows, vocab] float32 scores; `input_ids` are [rows, length]."""
        rows, length = input_ids.shape
        same_rows = False
        if (
            self._rows is None
            or self._rows.device != scores.device
            or not self._continues(input_ids)
        ):
            self._rows = self._begin(input_ids, scores)
        elif self._ids.shape[1] == length - 1:
            same_rows = self._reorder(input_ids[:, :-1])
        else:
            self._check_drafts()
        self._ids = input_ids
        history, ends = None, None
        if self._rows.uses(self._slots, *TOKENS).any():
            history = History(
                input_ids,
                self._start,
                torch.full_like(self._start, self._prompt_length),
                torch.full_like(self._start, length),
            )
            # If the rows don't continue those of the last step, their texts are read from the
            # start.
            ends = np.full(rows, length) if same_rows else None
            if ends is None and self._has_modes:
                self._read_modes(input_ids)
        logits = scores.to(torch.float32, copy=True)
        if self._source is not None:
            logits = self._source.run(logits, input_ids)
        return self._rows.run(logits, self._slots, history, ends)

    @property
    def modes(self) -> list[int]:
        """The mode in which each row was drawn last, as an index into its preset's modes."""
        assert self._rows is not None and self._rows.drawn_in is not None
        return [int(mode) for mode in self._rows.drawn_in]

    def _continues(self, input_ids: Tensor) -> bool:
        """Whether this is a later step of the current call of `generate`.

        Then its prompts are the same (beams change places only among the rows of one prompt), and
        it has at most one token more than the last step; fewer after refused draft tokens.
        """
        prompt, (rows, length) = self._prompt_length, input_ids.shape
        return (
            rows == self._ids.shape[0]
            and prompt < length <= self._ids.shape[1] + 1
            and self._ids[:, :prompt].equal(input_ids[:, :prompt])
        )

    def _check_drafts(self) -> None:
        """Raises `EngineError` if a preset has a state: earlier tokens were drafts, not drawn."""
        stateful = dict.fromkeys(name for each in self.presets for name in names_with_state(each))
        if stateful:
            message = f"drafts tokens, which {', '.join(stateful)} took for drawn ones"
            raise EngineError(Problem("generate", "", message, allowed="generate without drafts"))

    def _read_modes(self, input_ids: Tensor) -> None:
        """Reads every row's text from its beginning, to find its mode."""
        assert self._rows is not None
        length = input_ids.shape[1]
        starts = self._start.tolist()
        for row, (ids, start) in enumerate(zip(input_ids.tolist(), starts, strict=True)):
            middle = self._prompt_length
            self._rows.read(row, ids[start:middle], ids[middle:], length)

    def _reorder(self, before: Tensor) -> bool:
        """Gives each row the data of the row that it continues; returns False if there is none.

        Beams change places, and several may continue the same one.
        """
        if self._ids.equal(before):
            return True
        same = (before[:, None] == self._ids).all(-1)
        if self._rows is None or not bool(same.any(1).all()):
            return False
        self._rows.reorder(same.int().argmax(1))
        return True

    def _begin(self, input_ids: Tensor, scores: Tensor) -> Rows:
        """Sets up the rows for the first step of a call of `generate`."""
        count = input_ids.shape[0]
        seeds = [*map(seed_or_new, self._seeds or map(seed_of, self.presets))]
        for name, number in (("preset", len(self.presets)), ("seed", len(seeds))):
            if count % number:
                raise EngineError(
                    Problem(
                        "generate",
                        "",
                        f"one {name}, or one for each prompt",
                        f"{number} {name}s for {count} rows",
                        f"1 {name}, or a divisor of {count}{_in_pipelines(number, count)}",
                    )
                )
        if self._source is not None:
            self._source.begin(input_ids, scores.device)
        tokenizer, size = self._tokenizer, scores.shape[1]
        for preset in self.presets:
            check_tokens(preset, size)
        vocabulary = None if tokenizer is None else lambda: TokenBytes.of(tokenizer, size)
        rows = Rows(count, scores.device, vocabulary)
        requests = [request_of(preset, self._ends) for preset in self.presets]
        for row in range(count):
            request = requests[row * len(requests) // count]
            # Each sample of a prompt gets another seed, or all would be equal.
            prompt, sample = divmod(row, count // len(seeds))
            seed = sample_seed(seeds[prompt], sample)
            rows.write(row, replace(request, seed=seed))
        self._has_modes = any(request.switching is not None for request in requests)
        self._slots = np.arange(count, dtype=np.int64)
        self._prompt_length = input_ids.shape[1]
        if not self._prompt_length:
            for blind in {blind_to_embeddings(preset, "inputs_embeds") for preset in self.presets}:
                if blind:
                    warnings.warn(blind, stacklevel=2)
        self._start = torch.zeros(count, dtype=torch.int64, device=input_ids.device)
        if self._pad is not None and self._prompt_length:
            text = input_ids != self._pad
            first = text.int().argmax(1)
            self._start = torch.where(text.any(1), first, self._start)
        return rows


def names_with_state(preset: Preset) -> list[str]:
    """Returns the stages of a preset whose state its tokens don't determine, and such rules."""
    names = [
        step.stage
        for chain in preset.chains.values()
        for step in chain.steps
        if "state" in BY_NAME[step.stage].needs
    ]
    switching = Switching.of(preset)
    return names + ["rules on entropy"] * (switching is not None and switching.uses_entropy)


def _in_pipelines(number: int, count: int) -> str:
    """What to do in a pipeline that calls `generate` for fewer prompts than there are presets."""
    if number <= count:
        return ""
    return f"; in a pipeline: batch_size={number}, or a call for each"
