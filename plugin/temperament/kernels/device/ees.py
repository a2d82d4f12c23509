"""Entropy equilibrium: up to where mass exceeds normalised entropy (`temperament.ops.ees`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_EES


@triton.jit
def is_on(number):
    """Whether it cuts at all."""
    return tl.load(number + N_EES) > 0.0


@triton.jit
def bound_of(best, values, count, allowed, total, BLOCK: tl.constexpr):
    """The least value that stays, and whether the `count` largest of `allowed` tokens decide it.

    `values` are the sorted values, and `total` is the mass of all allowed tokens.
    """
    lanes = tl.arange(0, BLOCK)
    held = tl.full((), 0.0, tl.float64)
    weighted = tl.full((), 0.0, tl.float64)
    first = count
    start = 0
    while (start < count) & (first == count):
        at = start + lanes
        inside = at < count
        value = tl.load(values + at, mask=inside, other=0.0).to(tl.float64)
        distance = tl.where(inside, value - best.to(tl.float64), 0.0)
        mass = tl.where(inside, tl.exp(distance), 0.0)
        masses = held + tl.cumsum(mass, 0)
        products = weighted + tl.cumsum(mass * distance, 0)
        entropy = tl.log(masses) - products / masses
        share = tl.where(at + 1 == allowed, 1.0, masses / total)
        over = inside & (at > 0) & (entropy < share * tl.log((at + 1).to(tl.float64)))
        first = tl.min(tl.where(over, at, count), 0)
        held += tl.sum(mass, 0)
        weighted += tl.sum(mass * distance, 0)
        start += BLOCK
    bound = best * 0.0 - INFINITY
    if first < count:
        bound = tl.load(values + first - 1)
    return bound, (first < count) | (count == allowed)
