"""The operator that computes the numbers of rows with schedules: `follow_schedules`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.current_device import on_device_of
from temperament.kernels.device.follow_schedules import follow_schedules as kernel
from temperament.kernels.layout import COLUMNS

BLOCK = 1 << (len(COLUMNS) - 1).bit_length()  # all columns
WARPS = 2

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "follow_schedules(Tensor numbers, Tensor to, Tensor over, Tensor curves, Tensor integers, "
    "Tensor places, Tensor positions) -> Tensor"
)


def _follow_schedules(
    numbers: Tensor,
    to: Tensor,
    over: Tensor,
    curves: Tensor,
    integers: Tensor,
    places: Tensor,
    positions: Tensor,
) -> Tensor:
    rows = len(places)
    result = numbers.new_empty(rows, numbers.shape[1])
    if not rows:
        return result
    with on_device_of(numbers):
        kernel[(rows,)](
            numbers,
            to,
            over,
            curves,
            integers,
            places,
            positions,
            result,
            BLOCK=BLOCK,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return result


def _follow_schedules_fake(numbers: Tensor, *others: Tensor) -> Tensor:
    return numbers.new_empty(len(others[-1]), numbers.shape[1])


for _key in ("CUDA", "CPU"):
    _library.impl("follow_schedules", _follow_schedules, _key)
_library.impl("follow_schedules", _follow_schedules_fake, "Meta")
follow_schedules = torch.ops.temperament.follow_schedules.default
