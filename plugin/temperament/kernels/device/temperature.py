"""Temperature: `x / T`; 0 leaves the most likely token alone (`temperament.ops.temperature`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_TEMPERATURE

SHIFTED_BELOW = tl.constexpr(1e-30)  # a division by less could overflow


@triton.jit
def divisor_of(number):
    """(what the values are divided by, whether one token stays)."""
    divisor = tl.load(number + N_TEMPERATURE).to(tl.float32)
    greedy = divisor == 0.0
    return tl.where(greedy, 1.0, divisor), greedy.to(tl.int32)
