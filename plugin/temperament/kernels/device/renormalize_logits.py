"""Renormalised logits: log-probabilities (`temperament.ops.renormalize_logits`)."""

import triton
import triton.language as tl


@triton.jit
def normaliser_of(sums):
    """What is subtracted from the values in addition to the largest one, float32."""
    return tl.log(sums.total).to(tl.float32)


@triton.jit
def normalised(value, best, normaliser):
    """The new values."""
    return value - best - normaliser
