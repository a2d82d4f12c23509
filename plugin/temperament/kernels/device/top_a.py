"""Top-a: `p >= a * p_max^2` (`temperament.ops.top_a`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_TOP_A
from temperament.kernels.device.row import likely


@triton.jit
def bound_of(row, number, sums):
    """The least value that stays."""
    return likely(row, tl.log(tl.load(number + N_TOP_A)) - tl.log(sums.total))
