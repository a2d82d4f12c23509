"""The operator that appends a token to the copy of each row's tokens: `append_tokens`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.device.append_tokens import append_tokens as kernel

BLOCK = 128  # rows of a program
WARPS = 4

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "append_tokens(Tensor table, Tensor slots, Tensor positions, Tensor(a!) tokens, "
    "Tensor(b!) ends) -> ()"
)


def _append_tokens(
    table: Tensor, slots: Tensor, positions: Tensor, tokens: Tensor, ends: Tensor
) -> None:
    rows = len(slots)
    if not rows:
        return
    kernel[(-(-rows // BLOCK),)](
        table,
        table.stride(0),
        slots,
        positions,
        tokens,
        tokens.stride(0),
        ends,
        rows,
        BLOCK=BLOCK,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )


def _append_tokens_fake(*_: Tensor) -> None:
    """Describes the operator to a tracer: it returns nothing, so no shape is needed."""


for _key in ("CUDA", "CPU"):
    _library.impl("append_tokens", _append_tokens, _key)
_library.impl("append_tokens", _append_tokens_fake, "Meta")
append_tokens = torch.ops.temperament.append_tokens.default
