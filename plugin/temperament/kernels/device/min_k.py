"""Min-k: at the steepest fall of the sorted values (`temperament.ops.min_k`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import FLOAT_MAX, INFINITY
from temperament.kernels.device.opcodes import N_MIN_K, N_MIN_K_TAU
from temperament.kernels.device.row import value_of
from temperament.kernels.device.search import BY_VALUE, extent


@triton.jit
def is_on(number):
    """Whether it cuts at all."""
    return tl.load(number + N_MIN_K) > 0.0


@triton.jit
def bound_of(row, values, count, allowed, number, BLOCK: tl.constexpr):
    """The least value that stays, and whether the `count` largest of `allowed` tokens decide it.

    `values` are the sorted values. A fall that isn't known is at most the rest of the range, and
    its rank at least `count`.
    """
    lanes = tl.arange(0, BLOCK)
    least, _most = extent(row, row.best, BY_VALUE, row.best * 0.0 - FLOAT_MAX, BLOCK)
    smallest = value_of(row, least).to(tl.float64)
    steepest = tl.full((), -1.0, tl.float64)
    last = tl.full((), 0, tl.int32)
    for start in range(0, count, BLOCK):
        at = start + lanes
        inside = at + 1 < count
        value = tl.load(values + at, mask=inside, other=0.0).to(tl.float64)
        following = tl.load(values + at + 1, mask=inside, other=0.0).to(tl.float64)
        steep = tl.where(inside, (value - following) / (at + 1).to(tl.float64), -1.0)
        found = tl.max(steep, 0)
        if found > steepest:
            steepest = found
            last = tl.min(tl.where(steep == found, at, count), 0)
    extends = row.best.to(tl.float64) - smallest
    wanted = tl.full((), 0.0, tl.float64)
    if extends > 0.0:
        wanted = tl.floor(tl.load(number + N_MIN_K_TAU) / extends)
    elif tl.load(number + N_MIN_K_TAU) > 0.0:
        wanted = tl.full((), INFINITY, tl.float64)
    last = tl.maximum(last, tl.minimum(wanted, count.to(tl.float64)).to(tl.int32) - 1)
    later = (tl.load(values + count - 1).to(tl.float64) - smallest) / count.to(tl.float64)
    decided = (steepest >= later) & (wanted <= count.to(tl.float64))
    return tl.load(values + tl.minimum(last, count - 1)), (count == allowed) | decided
