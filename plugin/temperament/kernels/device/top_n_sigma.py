"""Top-n-sigma: `x >= max - n * sigma` (`temperament.ops.top_n_sigma`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_TOP_N_SIGMA
from temperament.kernels.device.row import AHEAD, likely, read, value_of


@triton.jit
def bound_of(row, number, middle, top, BLOCK: tl.constexpr):
    """The least value that stays; `middle` is a logit near the mean, `top` the largest one."""
    sigmas = tl.load(number + N_TOP_N_SIGMA)
    bound = row.best * 0.0 - INFINITY
    if sigmas > 0.0:
        among = value_of(row, tl.minimum(tl.maximum(middle, row.low), top))
        bound = likely(row, -sigmas * _deviation(row, among, BLOCK))
    return bound


@triton.jit
def _deviation(row, middle, BLOCK: tl.constexpr):
    """The population's deviation of the allowed values, float64.

    `mean(d^2) - mean(d)^2` for d = value - `middle`, which is among the values, so that the two
    means don't cancel.
    """
    lanes = tl.arange(0, BLOCK)
    count = tl.zeros([BLOCK], tl.int32)
    first = tl.zeros([BLOCK], tl.float32)
    second = tl.zeros([BLOCK], tl.float32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        _x, value, allowed = read(row, start + lanes)
        distance = tl.where(allowed, value - middle, 0.0)
        count += allowed.to(tl.int32)
        first += distance
        second += distance * distance
    total = tl.sum(count, 0).to(tl.float64)
    mean = tl.sum(first.to(tl.float64), 0) / total
    square = tl.sum(second.to(tl.float64), 0) / total
    return tl.sqrt(tl.maximum(square - mean * mean, 0.0))
