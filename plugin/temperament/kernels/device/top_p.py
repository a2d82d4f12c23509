"""Top-p: the most likely tokens with mass p (`temperament.ops.top_p`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_TOP_P


@triton.jit
def share_of(number):
    """The share of the mass that stays, float32; 1 cuts nothing."""
    return tl.load(number + N_TOP_P).to(tl.float32)
