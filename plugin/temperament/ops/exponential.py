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
    COEFFICIENTS_64,
    EXPONENT,
    EXPONENT_64,
    LN_2_HIGH,
    LN_2_HIGH_64,
    LN_2_LOW,
    LN_2_LOW_64,
    NO_MASS,
    PER_LN_2,
    PER_LN_2_64,
    ROUNDS,
    ROUNDS_64,
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


def rest_of_one(power: Tensor) -> Tensor:
    """Returns 1 - e^p of float32 numbers p <= 0, where those below -87 count as -87.

    It is accurate near 0, and -p where that is below 2^-26.
    """
    power = power.clamp_(min=NO_MASS)
    if not written_out(power):
        return power.expm1().neg_()
    rounded = (power * PER_LN_2).add_(ROUNDS)
    whole = rounded - ROUNDS
    rest = (power - whole * LN_2_HIGH).sub_(whole.mul_(LN_2_LOW))
    grown = rest * COEFFICIENTS[0]
    for coefficient in COEFFICIENTS[1:]:
        grown.add_(coefficient).mul_(rest)
    grown.mul_(rest).add_(rest)
    scale = rounded.view(torch.int32).bitwise_left_shift_(EXPONENT).view(torch.float32)
    return (1 - scale).sub_(grown.mul_(scale))


def precise_masses(distance: Tensor) -> Tensor:
    """Returns e^d of float64 distances in [-700, 0], right to 2 units in float64's last place."""
    if not written_out(distance):
        return distance.exp()
    rounded = (distance * PER_LN_2_64).add_(ROUNDS_64)
    whole = rounded - ROUNDS_64
    rest = (distance - whole * LN_2_HIGH_64).sub_(whole.mul_(LN_2_LOW_64))
    mass = rest * COEFFICIENTS_64[0]
    for coefficient in COEFFICIENTS_64[1:]:
        mass.add_(coefficient).mul_(rest)
    mass.mul_(rest).add_(rest).add_(1)
    scale = rounded.view(torch.int64).bitwise_left_shift_(EXPONENT_64).view(torch.float64)
    return mass.mul_(scale)
