"""The operator that appends a token to each row's suffix matches: `extend_matches`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.device.extend_matches import extend_matches as kernel

BLOCK = 1024  # positions that a program reads at once
WARPS = 8

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "extend_matches(Tensor(a!) lengths, Tensor slots, Tensor tokens, Tensor starts, Tensor ends) "
    "-> Tensor"
)


def _extend_matches(
    lengths: Tensor, slots: Tensor, tokens: Tensor, starts: Tensor, ends: Tensor
) -> Tensor:
    result = _extend_matches_fake(lengths, slots, tokens, starts, ends)
    if not len(slots):
        return result
    kernel[(len(slots),)](
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
    _library.impl("extend_matches", _extend_matches, _key)
_library.impl("extend_matches", _extend_matches_fake, "Meta")
extend_matches = torch.ops.temperament.extend_matches.default
