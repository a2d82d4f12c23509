"""The operators on the rows' histories: `run_history` and `extend_matches`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels import history_kernel

BLOCK = 1024  # positions that a program reads at once
WARPS = 8

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "run_history(Tensor(a!) logits, Tensor places, Tensor programs, Tensor numbers, "
    "Tensor number_rows, Tensor tokens, Tensor starts, Tensor prompt_ends, Tensor ends, "
    "Tensor lengths, Tensor broken, Tensor completes, Tensor spared, Tensor(b!) before, "
    "Tensor(c!) counts) -> ()"
)
_library.define(
    "extend_matches(Tensor(a!) lengths, Tensor slots, Tensor tokens, Tensor starts, Tensor ends) "
    "-> Tensor"
)


def _run_history(
    logits: Tensor,
    places: Tensor,
    programs: Tensor,
    numbers: Tensor,
    number_rows: Tensor,
    tokens: Tensor,
    starts: Tensor,
    prompt_ends: Tensor,
    ends: Tensor,
    lengths: Tensor,
    broken: Tensor,
    completes: Tensor,
    spared: Tensor,
    before: Tensor,
    counts: Tensor,
) -> None:
    rows, vocabulary = logits.shape
    if not rows:
        return
    history_kernel.run_history[(rows,)](
        logits,
        logits.stride(0),
        vocabulary,
        places,
        programs,
        numbers,
        number_rows,
        tokens,
        tokens.stride(0),
        starts,
        prompt_ends,
        ends,
        lengths,
        lengths.stride(0),
        broken,
        completes,
        int(completes.numel() > 1),
        spared,
        spared.shape[1],
        before,
        counts,
        tokens.shape[1],
        BLOCK=BLOCK,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )


def _run_history_fake(*_: Tensor) -> None:
    """Changes nothing: the operator returns nothing, so there are no shapes to tell."""


def _extend_matches(
    lengths: Tensor, slots: Tensor, tokens: Tensor, starts: Tensor, ends: Tensor
) -> Tensor:
    result = _extend_matches_fake(lengths, slots, tokens, starts, ends)
    if not len(slots):
        return result
    history_kernel.extend_matches[(len(slots),)](
        lengths,
        lengths.stride(0),
        slots,
        tokens,
        tokens.stride(0),
        starts,
        ends,
        result,
        tokens.shape[1],
        BLOCK=BLOCK,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )
    return result


def _extend_matches_fake(
    lengths: Tensor, slots: Tensor, tokens: Tensor, starts: Tensor, ends: Tensor
) -> Tensor:
    return lengths.new_empty(tokens.shape)


for _key in ("CUDA", "CPU"):
    _library.impl("run_history", _run_history, _key)
    _library.impl("extend_matches", _extend_matches, _key)
_library.impl("run_history", _run_history_fake, "Meta")
_library.impl("extend_matches", _extend_matches_fake, "Meta")
run_history = torch.ops.temperament.run_history.default
extend_matches = torch.ops.temperament.extend_matches.default
