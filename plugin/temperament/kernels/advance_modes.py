"""The operator that reads new tokens and finds each row's mode: `advance_modes`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.current_device import on_device_of
from temperament.kernels.device.advance_modes import advance_modes as kernel

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "advance_modes(Tensor(a!) packed, Tensor slots, Tensor befores, Tensor tokens, Tensor texts, "
    "Tensor prompt_ends, Tensor ends, Tensor[] tables, int most, int drafts, "
    "Tensor(b!) switched) -> (Tensor, Tensor)"
)


def _advance_modes(
    packed: Tensor,
    slots: Tensor,
    befores: Tensor,
    tokens: Tensor,
    texts: Tensor,
    prompt_ends: Tensor,
    ends: Tensor,
    tables: list[Tensor],
    most: int,
    drafts: int,
    switched: Tensor,
) -> tuple[Tensor, Tensor]:
    rows = len(slots)
    drawn, positions = ends.new_empty(2, rows).unbind()
    if not rows:
        return drawn, positions
    after, rest_key, marks = tables[0], tables[12], tables[8]
    with on_device_of(packed):
        kernel[(rows,)](
            packed,
            packed.stride(0),
            slots,
            befores,
            tokens,
            tokens.stride(0),
            texts,
            prompt_ends,
            ends,
            *tables,
            after.shape[1],
            rest_key.shape[0],
            marks.shape[1],
            most,
            drafts,
            switched,
            drawn,
            positions,
            rows,
            num_warps=1,
            enable_fp_fusion=False,
        )
    return drawn, positions


def _advance_modes_fake(packed: Tensor, slots: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    found = slots.new_empty(2, len(slots), dtype=torch.int64)
    return found[0], found[1]


for _key in ("CUDA", "CPU"):
    _library.impl("advance_modes", _advance_modes, _key)
_library.impl("advance_modes", _advance_modes_fake, "Meta")
advance_modes = torch.ops.temperament.advance_modes.default
