"""P-less: `p >= sum p^2` (`temperament.ops.p_less`)."""

import triton
import triton.language as tl

from temperament.kernels.device.row import likely


@triton.jit
def bound_of(row, sums):
    """The least value that stays."""
    return likely(row, tl.log(sums.squares) - tl.log(sums.total))
