"""Sums over a row's allowed tokens.

Every sum has the same order for a row alone and in any batch: in float32 in each lane, then over
the lanes in float64.
"""

from typing import NamedTuple

import triton
import triton.language as tl

from temperament.kernels.device.row import AHEAD, NO_MASS, read


class Sums(NamedTuple):
    """Of the masses m = e^d, with d = value - largest; float64 but for `allowed`."""

    # how many tokens are allowed
    allowed: tl.tensor
    # of m, and of m without one of the largest
    total: tl.tensor
    rest: tl.tensor
    # of m d, and of m^2
    weighted: tl.tensor
    squares: tl.tensor


@triton.jit
def sums_of(row, BLOCK: tl.constexpr):
    """Reads the row once."""
    lanes = tl.arange(0, BLOCK)
    count = tl.zeros([BLOCK], tl.int32)
    equal = tl.zeros([BLOCK], tl.int32)
    rest = tl.zeros([BLOCK], tl.float32)
    weighted = tl.zeros([BLOCK], tl.float32)
    squares = tl.zeros([BLOCK], tl.float32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        _x, value, allowed = read(row, start + lanes)
        distance = tl.where(allowed, value - row.best, NO_MASS)
        same = allowed & (distance == 0.0)
        mass = tl.where(allowed & (distance > NO_MASS) & (distance < 0.0), tl.exp(distance), 0.0)
        count += allowed.to(tl.int32)
        equal += same.to(tl.int32)
        rest += mass
        weighted += mass * distance
        squares += mass * mass
    largest = tl.sum(equal, 0).to(tl.float64)
    smaller = tl.sum(rest.to(tl.float64), 0)
    return Sums(
        tl.sum(count, 0),
        largest + smaller,
        largest - 1.0 + smaller,
        tl.sum(weighted.to(tl.float64), 0),
        largest + tl.sum(squares.to(tl.float64), 0),
    )


@triton.jit
def entropy(sums):
    """The entropy of the allowed tokens in nats, float64."""
    return _log1p(sums.rest) - sums.weighted / (1.0 + sums.rest)


@triton.jit
def _log1p(x):
    return tl.where(x < 1e-8, x - x * x / 2.0, tl.log(1.0 + x))
