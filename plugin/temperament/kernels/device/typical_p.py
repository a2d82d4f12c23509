"""Typical-p: tokens whose surprise is near the entropy (`temperament.ops.typical_p`)."""

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import N_TYPICAL_P


@triton.jit
def share_of(number):
    """The share of the mass that stays, float32; 1 cuts nothing."""
    return tl.load(number + N_TYPICAL_P).to(tl.float32)
