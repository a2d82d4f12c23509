"""Top-k: the k largest, and what is tied with the last of them (`temperament.ops.top_k`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_TOP_K


@triton.jit
def count_of(number):
    """How many tokens stay, float64."""
    return tl.load(number + N_TOP_K)
