"""The operator that runs every row's chain from its first shape or cut on: `run_chain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from temperament.kernels.current_device import on_device_of
from temperament.kernels.device.run_chain import run_chain as kernel

PIVOTS = 8  # bounds among which a search counts at once
WIDEST = 2048  # logits of a block, and of the list of the tokens that are left

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "run_chain(Tensor(a!) logits, Tensor places, Tensor programs, Tensor numbers, "
    "Tensor number_rows, Tensor seeds, Tensor entries, Tensor tokens, Tensor texts, "
    "Tensor prompt_ends, Tensor ends, Tensor(b!)[] mirostat, Tensor(c!)[] adaptive, "
    "Tensor protected, Tensor newline, Tensor(d!) list_values, Tensor(e!) list_tokens, "
    "Tensor(f!) sorted_values, Tensor(g!) sorted_places) -> ()"
)


class Sizes(NamedTuple):
    """What a launch is compiled for. It depends on the vocabulary alone, so a row's bits do."""

    block: int
    # the tokens in the list of a row
    capacity: int
    warps: int


@lru_cache
def sizes(vocabulary: int) -> Sizes:
    """Returns the sizes for a vocabulary."""
    block = min(WIDEST, max(128, 1 << (vocabulary - 1).bit_length()))
    return Sizes(block, block, max(4, block // 128))


def _run_chain(
    logits: Tensor,
    places: Tensor,
    programs: Tensor,
    numbers: Tensor,
    number_rows: Tensor,
    seeds: Tensor,
    entries: Tensor,
    tokens: Tensor,
    texts: Tensor,
    prompt_ends: Tensor,
    ends: Tensor,
    mirostat: Sequence[Tensor],
    adaptive: Sequence[Tensor],
    protected: Tensor,
    newline: Tensor,
    list_values: Tensor,
    list_tokens: Tensor,
    sorted_values: Tensor,
    sorted_places: Tensor,
) -> None:
    rows, vocabulary = logits.shape
    block, capacity, warps = sizes(vocabulary)
    if not rows:
        return
    with on_device_of(logits):
        kernel[(rows,)](
            logits,
            logits.stride(0),
            vocabulary,
            places,
            programs,
            numbers,
            number_rows,
            seeds,
            entries,
            tokens,
            tokens.stride(0),
            texts,
            prompt_ends,
            ends,
            *mirostat,
            *adaptive,
            protected,
            protected.shape[1],
            newline,
            int(newline.shape[0] > 1),
            list_values,
            list_tokens,
            sorted_values,
            sorted_places,
            # A runner's only row may be a view of a padded one, which changes nothing then.
            ALIGNED=vocabulary % 16 == 0 and logits.stride(0) % 16 == 0,
            PIVOTS=PIVOTS,
            CAPACITY=capacity,
            BLOCK=block,
            num_warps=warps,
            enable_fp_fusion=False,
        )


def _run_chain_fake(*arguments: Tensor | Sequence[Tensor]) -> None:
    """Changes nothing: the operator returns nothing, so no shape has to be known."""


for _key in ("CUDA", "CPU"):
    _library.impl("run_chain", _run_chain, _key)
_library.impl("run_chain", _run_chain_fake, "Meta")
run_chain = torch.ops.temperament.run_chain.default
