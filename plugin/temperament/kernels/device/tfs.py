"""Tail-free sampling: by the second differences of the sorted masses (`temperament.ops.tfs`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_TFS

STRAIGHT = tl.constexpr(1e-12)


@triton.jit
def share_of(number):
    """The share of the second differences that stays, float64; 1 cuts nothing."""
    return tl.load(number + N_TFS)


@triton.jit
def bound_of(best, values, count, allowed, share, BLOCK: tl.constexpr):
    """The least value that stays, and whether the `count` largest of `allowed` tokens suffice.

    `values` are the sorted values. The second differences of those that aren't known sum to at
    most 2 of the last but one mass.
    """
    lanes = tl.arange(0, BLOCK)
    known = tl.full((), 0.0, tl.float64)
    for start in range(0, count, BLOCK):
        known += tl.sum(_bends(best, values, start + lanes, count), 0)
    unknown = tl.full((), 0.0, tl.float64)
    if count < allowed:
        unknown = 2.0 * _mass(best, values, tl.maximum(count - 2, 0), count)
    goal, largest = share * known, share * (known + unknown)
    # how many second differences are within the goal, if the rest is 0 and if it is the largest
    fewest = tl.full((), 0, tl.int32)
    most = tl.full((), 0, tl.int32)
    running = tl.full((), 0.0, tl.float64)
    start = 0
    while (start < count) & (running <= largest):
        at = start + lanes
        bends = _bends(best, values, at, count)
        after = running + tl.cumsum(bends, 0)
        inside = at + 2 < count
        fewest += tl.sum((inside & (after <= goal)).to(tl.int32), 0)
        most += tl.sum((inside & (after <= largest)).to(tl.int32), 0)
        running += tl.sum(bends, 0)
        start += BLOCK
    bound = best * 0.0 - INFINITY
    if known > STRAIGHT:
        bound = tl.load(values + fewest)
    return bound, (count == allowed) | ((fewest == most) & (most < count - 2))


@triton.jit
def _mass(best, values, at, count):
    """The masses of the sorted tokens at these places, in units of the largest one: float64."""
    value = tl.load(values + at, mask=at < count, other=-INFINITY)
    return tl.exp(value.to(tl.float64) - best.to(tl.float64))


@triton.jit
def _bends(best, values, at, count):
    """The absolute second differences of three masses from these places on."""
    one = _mass(best, values, at, count)
    two = _mass(best, values, at + 1, count)
    three = _mass(best, values, at + 2, count)
    return tl.where(at + 2 < count, tl.abs((one - two) - (two - three)), 0.0)
