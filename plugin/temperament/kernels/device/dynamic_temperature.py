"""Dynamic temperature: a temperature by entropy (`temperament.ops.dynamic_temperature`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_DYNATEMP_EXPONENT, N_DYNATEMP_HIGH, N_DYNATEMP_LOW
from temperament.kernels.device.sums import entropy

TINY = tl.constexpr(2.0**-126)


@triton.jit
def divisor_of(number, sums):
    """What the values are divided by."""
    low = tl.load(number + N_DYNATEMP_LOW)
    high = tl.load(number + N_DYNATEMP_HIGH)
    most = tl.log(sums.allowed.to(tl.float64))
    share = tl.minimum(tl.maximum(entropy(sums) / most, 0.0), 1.0)
    bent = tl.exp(tl.log(share) * tl.load(number + N_DYNATEMP_EXPONENT))
    t = tl.maximum((low * (1.0 - bent) + high * bent).to(tl.float32), TINY)
    return tl.where((low != high) & (sums.allowed > 1) & (t < INFINITY), t, 1.0)
