"""P-less-norm: `p >= (n * sum p^2 - 1) / (n - 1)` (`temperament.ops.p_less_norm`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.row import likely


@triton.jit
def bound_of(row, sums):
    """The least value that stays."""
    number = sums.allowed.to(tl.float64)
    excess = number * sums.squares - sums.total * sums.total
    bound = row.best * 0.0 - INFINITY
    if (excess > 0.0) & (sums.allowed > 1):
        bound = likely(row, tl.log(excess / (sums.total * (number - 1.0))))
    return bound
