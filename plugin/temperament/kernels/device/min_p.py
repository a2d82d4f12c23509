"""Min-p: `p >= m * p_max` (`temperament.ops.min_p`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_MIN_P
from temperament.kernels.device.row import likely


@triton.jit
def bound_of(row, number):
    """The least value that stays."""
    return likely(row, tl.log(tl.load(number + N_MIN_P)))
