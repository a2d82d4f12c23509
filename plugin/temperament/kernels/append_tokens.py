"""The operator that copies each request's new tokens to the device: `append_tokens`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.current_device import on_device_of
from temperament.kernels.device.append_tokens import append_tokens as kernel

BLOCK = 512  # tokens that a program copies at once
WARPS = 4

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "append_tokens(Tensor table, Tensor prompt_lengths, Tensor slots, Tensor before, "
    "Tensor positions, Tensor fed, Tensor(a!) tokens, Tensor(b!) known, Tensor(c!) texts, "
    "Tensor(d!) prompt_ends, Tensor(e!) ends) -> ()"
)


def _append_tokens(
    table: Tensor,
    prompt_lengths: Tensor,
    slots: Tensor,
    before: Tensor,
    positions: Tensor,
    fed: Tensor,
    tokens: Tensor,
    known: Tensor,
    texts: Tensor,
    prompt_ends: Tensor,
    ends: Tensor,
) -> None:
    rows = len(slots)
    if not rows:
        return
    with on_device_of(tokens):
        kernel[(rows,)](
            table,
            table.stride(0),
            prompt_lengths,
            slots,
            before,
            positions,
            fed,
            tokens,
            tokens.stride(0),
            known,
            texts,
            prompt_ends,
            ends,
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
