"""Smoothing: values bent below the largest (`temperament.ops.smoothing`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import FLOAT_MAX
from temperament.kernels.device.opcodes import N_SMOOTHING_CURVE, N_SMOOTHING_FACTOR


@triton.jit
def curve_of(number):
    """(factor, curve): the factor 0 bends nothing."""
    factor = tl.load(number + N_SMOOTHING_FACTOR).to(tl.float32)
    return factor, tl.load(number + N_SMOOTHING_CURVE).to(tl.float32)


@triton.jit
def bent(value, best, factor, curve):
    """The new values."""
    distance = tl.maximum(value - best, -FLOAT_MAX)
    slope = distance * ((curve - 1.0) / 2.0) - (3.0 - curve) / 2.0
    return tl.minimum(slope * distance * factor * distance + best, FLOAT_MAX)
