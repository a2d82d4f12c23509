"""The masses e^(x - max), with the same bits on every processor.

Libraries' exponentials differ in their last bits between processors. This one adds and multiplies
in IEEE arithmetic, one operation after the other, and can be compiled: n = round(d / ln 2),
r = d - n ln 2, and e^d = 2^n (1 + r + r^2 q(r)), q of degree 4. It is right to 1.4 units in the
last place of float32, and 1 for d = 0. On a GPU torch's own is used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import (
    COEFFICIENTS,
    EXPONENT,
    LN_2_HIGH,
    LN_2_LOW,
    PER_LN_2,
    ROUNDS,
)
from temperament.ops.blocks import written_out


def masses_of(distance: Tensor) -> Tensor:
    """Returns e^d of float32 distances d = x - max in [-87, 0]; NaN for NaN."""
    if not written_out(distance):
        return distance.exp()
    return set_masses(distance, *distance.new_empty(3, *distance.shape).unbind())


def set_masses(distance: Tensor, mass: Tensor, rest: Tensor, power: Tensor) -> Tensor:
    """Sets `mass` to `masses_of(distance)`; `rest` and `power` are buffers of the same shape."""
    if not written_out(distance):
        return torch.exp(distance, out=mass)
    torch.mul(distance, PER_LN_2, out=power).add_(ROUNDS)
    torch.sub(power, ROUNDS, out=mass)
    torch.mul(mass, LN_2_HIGH, out=rest)
    torch.sub(distance, rest, out=rest).sub_(mass.mul_(LN_2_LOW))
    torch.mul(rest, COEFFICIENTS[0], out=mass)
    for coefficient in COEFFICIENTS[1:]:
        mass.add_(coefficient).mul_(rest)
    mass.mul_(rest).add_(rest).add_(1)
    power.view(torch.int32).bitwise_left_shift_(EXPONENT)
    return mass.mul_(power)
