"""Adaptive-p: towards a probability that follows the drawn ones (`temperament.ops.adaptive_p`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_DECAY, N_TARGET
from temperament.kernels.device.row import NO_MASS

WIDTH = tl.constexpr(0.3)
PEAK = tl.constexpr(5.0)
SHARPNESS = tl.constexpr(-10.0)


@triton.jit
def level_after(number, level, surprise, followed):
    """The mean probability, float64, after the last token was drawn."""
    if level != level:
        level = tl.load(number + N_TARGET)
    if followed:
        decay = tl.load(number + N_DECAY)
        level = decay * level + (1.0 - decay) * tl.exp(surprise.to(tl.float64))
    return level


@triton.jit
def aim_of(number, level):
    """The probability that is wanted now, float32."""
    aim = 2.0 * tl.load(number + N_TARGET) - level
    return tl.minimum(tl.maximum(aim, 0.0), 1.0).to(tl.float32)


@triton.jit
def adapted(value, aim, normaliser):
    """The new values; `normaliser` is the logarithm of the values' total mass."""
    distance = tl.exp(tl.maximum(value - normaliser, NO_MASS))
    distance = tl.div_rn(tl.abs(distance - aim), tl.full((), WIDTH, tl.float32))
    return tl.div_rn(distance * SHARPNESS * distance, distance + 1.0) + PEAK
