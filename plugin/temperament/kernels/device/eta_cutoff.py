"""Eta cutoff: `p >= min(e, sqrt(e) * exp(-H))` (`temperament.ops.eta_cutoff`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_ETA
from temperament.kernels.device.row import likely
from temperament.kernels.device.sums import entropy


@triton.jit
def bound_of(row, number, sums):
    """The least value that stays."""
    least = tl.log(tl.load(number + N_ETA))
    return likely(row, tl.minimum(least, least / 2.0 - entropy(sums)) + tl.log(sums.total))
