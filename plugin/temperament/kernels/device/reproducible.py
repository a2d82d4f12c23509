"""Reproducible: the token that Gumbel noise of its own chooses (`temperament.ops.reproducible`)."""

import triton
import triton.language as tl

from temperament.kernels.device.random import noise_key

DRAW = tl.constexpr(2)


@triton.jit
def noise_of(seed, position):
    """The noise of a row, int64."""
    return noise_key(seed, position, DRAW)
