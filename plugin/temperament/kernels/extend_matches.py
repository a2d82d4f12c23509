"""The operator that appends new tokens to each row's suffix matches: `extend_matches`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.current_device import on_device_of
from temperament.kernels.device.extend_matches import extend_matches as kernel

BLOCK = 1024  # positions that a program reads at once
WARPS = 8

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "extend_matches(Tensor(a!) lengths, Tensor(b!) known, Tensor slots, Tensor before, "
    "Tensor tokens, Tensor texts, Tensor starts, Tensor ends, SymInt positions) -> Tensor"
)


def _extend_matches(
    lengths: Tensor,
    known: Tensor,
    slots: Tensor,
    before: Tensor,
    tokens: Tensor,
    texts: Tensor,
    starts: Tensor,
    ends: Tensor,
    positions: int,
) -> Tensor:
    rows = len(slots)
    result = lengths.new_empty(rows, positions)
    if not rows:
        return result
    with on_device_of(lengths):
        kernel[(rows,)](
            lengths,
            lengths.stride(0),
            known,
            slots,
            before,
            tokens,
            tokens.stride(0),
            texts,
            starts,
            ends,
            result,
            rows,
            positions,
            BLOCK=BLOCK,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return result


def _extend_matches_fake(lengths: Tensor, known: Tensor, slots: Tensor, *_: Any) -> Tensor:
    return lengths.new_empty(len(slots), _[-1])


for _key in ("CUDA", "CPU"):
    _library.impl("extend_matches", _extend_matches, _key)
_library.impl("extend_matches", _extend_matches_fake, "Meta")
extend_matches = torch.ops.temperament.extend_matches.default
