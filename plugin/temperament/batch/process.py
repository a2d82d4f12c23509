"""Presets in any decoding loop: one step with `process`, many with `Run`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import to_device
from temperament.batch.checking import check_inputs, check_logits
from temperament.batch.checking import check_tokens as check_drawn
from temperament.batch.request import check_tokenizer, request_of, seed_of, seed_or_new
from temperament.batch.rows import Rows
from temperament.plan.unseen import blind_to_the_limit, blind_without_ids
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset, Presets, as_presets
from temperament.presets.token_ids import check_tokens
from temperament.stages import PARAMETERS
from temperament.stages.base import Need

Ids = Sequence[Sequence[int]] | Tensor

_NEEDS: tuple[Need, ...] = get_args(Need)
_MOST_KEPT = 16


class Run:
    """Presets for the rows of a decoding loop, step by step.

    ::

        run = Run(["code", "creative"], prompt_ids=ids)
        logits = run.run(model_logits)  # [2, vocab] float32: softmax and draw from these
        run.accept(tokens)              # [2] the tokens that were drawn

    `presets` is one preset for all rows, or a list of one for each: a name, a map of values, or a
    `Preset`. `rows` is needed only if there is neither a list of presets nor ids. `prompt_ids` and
    `output_ids` are a list of token ids for each row, or a [rows, length] tensor of integers; ids
    outside the vocabulary, such as a padding of -1, have no effect. Without `prompt_ids` a warning
    names the stages that read the prompt, and without a preset's `max_tokens` one that acts at this
    limit alone. `seeds` has an integer for each row, which decides what
    stages draw at random; without it the preset's seed does, or a new random one for each row, as
    for -1. `tokenizer` is needed by stages and modes that match texts.

    Raises `PresetError` for an unknown name, a wrong value, or a preset that needs the tokenizer,
    and `InputError` for ids, seeds or numbers of rows of a wrong form.
    """

    def __init__(
        self,
        presets: Presets,
        *,
        rows: int | None = None,
        prompt_ids: Ids | None = None,
        output_ids: Ids | None = None,
        seeds: Sequence[int] | None = None,
        tokenizer: Any = None,
        catalogue: Catalogue | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.presets, per_row = as_presets(
            presets, Catalogue.load() if catalogue is None else catalogue
        )
        inputs = check_inputs(len(self.presets), per_row, rows, prompt_ids, output_ids, seeds)
        if prompt_ids is None and (blind := blind_without_ids(self.presets)):
            warnings.warn(blind, stacklevel=_outside())
        if blind := blind_to_the_limit(self.presets):
            warnings.warn(blind, stacklevel=_outside())
        check_tokenizer(self.presets, tokenizer)
        vocabulary = None if tokenizer is None else TokenBytes.of(tokenizer)
        # A tensor's device has a number where `device` may have none.
        self._device = torch.empty(0, device=device).device
        self._rows = Rows(inputs.rows, device, None if vocabulary is None else lambda: vocabulary)
        # the number of tokens that the presets' token ids were compared with
        self._vocabulary = -1
        # [rows]
        self._slots = np.arange(inputs.rows, dtype=np.int64)
        ends = () if vocabulary is None else vocabulary.ends
        requests = [request_of(preset, ends) for preset in self.presets]
        for row in range(inputs.rows):
            number = row if per_row else 0
            seeds = inputs.seeds
            seed = seed_of(self.presets[number]) if seeds is None else seed_or_new(seeds[row])
            request = replace(requests[number], seed=seed)
            self._rows.write(row, request, inputs.prompts[row], inputs.outputs[row])
        # [n] the rows with stages or modes that read the tokens
        self._followed = np.array(
            [row for row in range(inputs.rows) if self._rows.follows(row)], np.int64
        )

    @property
    def same_at_every_step(self) -> bool:
        """Whether a step reads nothing but the logits: no token, seed, state or position."""
        return not self._rows.uses(self._slots, *_NEEDS).any()

    def run(self, logits: Tensor, *, inplace: bool = False) -> Tensor:
        """Returns the logits whose softmax is the distribution to draw from: float32.

        `logits` is [rows, vocab] in any float type, on the run's device. `inplace` changes this
        tensor, which must be float32, and returns it; the result has no gradient either way.
        Raises `InputError` for a tensor of another form, and `PresetError` for a preset's token id
        beyond the vocabulary.
        """
        rows = len(self._slots)
        check_logits(logits, rows=rows, device=self._device, inplace=inplace)
        if logits.shape[1] != self._vocabulary:
            for preset in self.presets:
                check_tokens(preset, logits.shape[1])
            self._vocabulary = logits.shape[1]
        if not inplace:
            logits = logits.detach().to(torch.float32, copy=True)
        return self._rows.run(logits, self._slots)

    def accept(self, tokens: Tensor | Sequence[int]) -> None:
        """Appends the drawn token of every row: [rows] or [rows, 1] integers.

        An id outside the vocabulary has no effect. Raises `InputError` for tokens of another
        form.
        """
        drawn = check_drawn(tokens, len(self._slots), self._device)
        if len(self._followed):
            followed = to_device(self._followed, self._device)
            self._rows.log.append(drawn.index_select(0, followed), self._followed)


def process(
    logits: Tensor,
    presets: Presets,
    *,
    prompt_ids: Ids | None = None,
    output_ids: Ids | None = None,
    seeds: Sequence[int] | None = None,
    tokenizer: Any = None,
    catalogue: Catalogue | None = None,
    inplace: bool = False,
) -> Tensor:
    """Returns the logits to draw from, for one step of any decoding loop: [rows, vocab] float32.

    `logits` is [rows, vocab] in any float type. The other arguments are those of `Run`, and
    `inplace` that of `Run.run`. Stages and modes that read the tokens need `prompt_ids` and
    `output_ids`; a warning names those that get none. Raises `PresetError` for a preset, and
    `InputError` for any other argument.
    """
    check_logits(logits, inplace=inplace)
    settings: dict[str, Any] = {
        "prompt_ids": prompt_ids,
        "output_ids": output_ids,
        "seeds": seeds,
        "tokenizer": tokenizer,
        "catalogue": catalogue,
    }
    plain = all(value is None for value in settings.values())
    key = _key(presets, logits) if plain else None
    kept, run = _kept.pop(key, (None, None))  # no other thread has it meanwhile
    loaded = catalogue
    if plain:
        loaded = kept if kept is not None and _are_numbers(presets) else Catalogue.load()
        settings["catalogue"] = loaded
    new = run is None or kept is not loaded
    if run is None or new:
        run = Run(presets, rows=logits.shape[0], device=logits.device, **settings)
    if new and output_ids is None and (blind := blind_without_ids(run.presets, output=True)):
        warnings.warn(blind, stacklevel=2)
    result = run.run(logits, inplace=inplace)
    if key is not None and loaded is not None and (not new or run.same_at_every_step):
        _kept[key] = loaded, run
        for oldest in [*_kept][:-_MOST_KEPT]:
            _kept.pop(oldest, None)
    return result


def _outside() -> int:
    """The `stacklevel` of a warning at the line that called this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals["__name__"]).startswith("temperament."):
        level, frame = level + 1, frame.f_back
    return level


# Runs of earlier calls of `process`, each with the catalogue of its presets. To create one takes
# as long as a step of a small batch.
_kept: dict[Hashable, tuple[Catalogue, Run]] = {}


def _key(presets: Presets, logits: Tensor) -> Hashable | None:
    """The key under which a `Run` is kept; None for presets whose values can change."""
    if isinstance(presets, Sequence) and not isinstance(presets, (str, bytes)):
        each = tuple(map(_by_value, presets))
        named: Hashable | None = None if None in each else ("rows", each)
    else:
        named = _by_value(presets)
    if named is None:
        return None
    stream = None
    if logits.is_cuda:
        if torch.cuda.is_current_stream_capturing():
            return None  # what a graph reads may never be freed
        # Other streams don't wait for the uploads of this one.
        stream = torch.cuda.current_stream(logits.device)
    return named, len(logits), logits.device, stream


def _are_numbers(presets: Presets) -> bool:
    """Whether this is one map of parameters alone, which no preset file can change."""
    return isinstance(presets, Mapping) and presets.keys() <= PARAMETERS.keys()


def _by_value(preset: Any) -> Hashable | None:
    if type(preset) is str:
        return preset
    if isinstance(preset, Preset):
        try:
            hash(preset)
        except (TypeError, ValueError):  # values that weren't checked
            return None
        return preset
    if isinstance(preset, Mapping):
        # The types are compared too: 1, 1.0 and True are equal, but not equally allowed.
        items = tuple((name, type(value), value) for name, value in preset.items())
        if all(kind in (int, float, str, bool) for _, kind, _ in items):
            return "values", items
    return None
