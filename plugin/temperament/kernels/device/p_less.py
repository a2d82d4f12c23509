"""P-less: `p >= (sum p^k)^(1/(k-1))`, `sum p^2` for an order k of 2 (`temperament.ops.p_less`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_P_LESS_ORDER
from temperament.kernels.device.row import AHEAD, NO_MASS, likely, read


@triton.jit
def bound_of(row, number, sums, BLOCK: tl.constexpr):
    """The least value that stays."""
    order = tl.load(number + N_P_LESS_ORDER)
    powers = sums.squares
    if order != 2.0:
        powers = _powers(row, order.to(tl.float32), BLOCK)
    return likely(row, (tl.log(powers) - tl.log(sums.total)) / (order - 1.0))


@triton.jit
def _powers(row, order, BLOCK: tl.constexpr):
    """The sum of m^k for the allowed tokens' masses m, float64."""
    lanes = tl.arange(0, BLOCK)
    powers = tl.zeros([BLOCK], tl.float32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        _x, value, allowed = read(row, start + lanes)
        distance = tl.maximum((value - row.best) * order, NO_MASS)
        powers += tl.where(allowed & (distance > NO_MASS), tl.exp(distance), 0.0)
    return tl.sum(powers.to(tl.float64), 0)
