"""The logarithm, with the same bits on every processor (see `ops.exponential`).

x = 2^k (1 + f), with 1 + f between the root of 1/2 and that of 2, and ln(1 + f) = 2 atanh(s),
s = f / (2 + f). The result is right to 3 units in the last place of float32, near x = 1 too, since
x - 1 is given. On a GPU torch's own is used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import (
    BIAS,
    EXPONENT,
    LN_2_HIGH,
    LN_2_LOW,
    LOGARITHM,
    ROOT_HALF_BITS,
)
from temperament.ops.blocks import written_out


def logarithm(number: Tensor, above_one: Tensor) -> Tensor:
    """Returns ln(x), float32, of x > 0 and x - 1 (float64, or float32 where that is exact).

    In float32 x must be a normal number. Where |x - 1| is below `SMALL`, the result is x - 1.
    """
    if not written_out(number):
        return torch.where(above_one > -0.5, above_one.log1p(), number.log()).float()
    power = (number.float().view(torch.int32) - ROOT_HALF_BITS).bitwise_right_shift_(EXPONENT)
    scale = (BIAS - power).bitwise_left_shift_(EXPONENT).view(torch.float32)
    scaled = (number * scale).sub_(1)
    rest = torch.where(power == 0, above_one, scaled).float()
    ratio = rest / (rest + 2)
    square = ratio * ratio
    series = square * LOGARITHM[0]
    for coefficient in LOGARITHM[1:]:
        series.add_(coefficient).mul_(square)
    twice = ratio.add_(ratio)
    whole = power.float()
    return series.mul_(twice).add_(twice).add_(whole * LN_2_LOW).add_(whole * LN_2_HIGH)
