"""Epsilon cutoff: `p >= e` (`temperament.ops.epsilon_cutoff`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_EPSILON
from temperament.kernels.device.row import likely


@triton.jit
def bound_of(row, number, sums):
    """The least value that stays."""
    return likely(row, tl.log(tl.load(number + N_EPSILON)) + tl.log(sums.total))
