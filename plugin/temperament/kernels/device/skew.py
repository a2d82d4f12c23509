"""Skew: `p'_i = F_i^a - F_(i-1)^a` of the sorted, cumulated p (`temperament.ops.skew`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_SKEW


@triton.jit
def amount_of(number):
    """The skew, float64; 0 changes nothing."""
    return tl.load(number + N_SKEW)


@triton.jit
def rewrite(row, values, places, amount, BLOCK: tl.constexpr):
    """Writes new values in place of the row's logits, -inf for removed tokens; the largest.

    `values` are the sorted values, and `places` where they are in the row.
    """
    lanes = tl.arange(0, BLOCK)
    power = tl.exp(amount)
    total = tl.full((), 0.0, tl.float64)
    for start in range(0, row.length, BLOCK):
        total += tl.sum(_mass(row, values, start + lanes), 0)
    before = tl.full((), 0.0, tl.float64)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    for start in range(0, row.length, BLOCK):
        at = start + lanes
        mass = _mass(row, values, at)
        after = before + tl.cumsum(mass, 0)
        grown = _expm1(power * _log1p(-(mass / after)))
        value = (power * tl.log(after / total) + tl.log(-grown)).to(tl.float32)
        value = tl.where(mass > 0.0, value, -INFINITY)
        place = tl.load(places + at, mask=at < row.length, other=0)
        tl.store(row.base + place, value, mask=at < row.length)
        largest = tl.maximum(largest, value)
        before += tl.sum(mass, 0)
    tl.debug_barrier()
    return tl.max(largest, 0)


@triton.jit
def _mass(row, values, at):
    """The masses of the sorted tokens at these places, in units of the largest one: float64."""
    value = tl.load(values + at, mask=at < row.length, other=-INFINITY)
    return tl.exp(value.to(tl.float64) - row.best.to(tl.float64))


@triton.jit
def _log1p(x):
    """`ln(1 + x)` for -1 <= x <= 0, to float64's precision: as the logarithm's slope near 1 + x.

    Fusing the multiplication would undo it; the kernel is compiled without.
    """
    whole = 1.0 + x
    near = whole == 1.0
    return tl.where(near, x, tl.log(whole) * (x / tl.where(near, 1.0, whole - 1.0)))


@triton.jit
def _expm1(x):
    """`e^x - 1` for x <= 0, to float64's precision, the same way."""
    grown = tl.exp(x)
    near = grown == 1.0
    small = (grown - 1.0) * (x / tl.where(near | (grown == 0.0), 1.0, tl.log(grown)))
    return tl.where(near, x, tl.where(grown - 1.0 == -1.0, -1.0, small))
