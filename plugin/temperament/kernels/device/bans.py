"""What bans share: a row never loses all of its tokens (`temperament.ops.bans`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY


@triton.jit
def has_token(logits, vocabulary, BLOCK: tl.constexpr):
    """Whether any logit isn't -inf: most rows show it in their first block."""
    lanes = tl.arange(0, BLOCK)
    found = tl.full((), 0, tl.int32)
    start = tl.full((), 0, tl.int32)
    while (found == 0) & (start < vocabulary):
        at = start + lanes
        x = tl.load(logits + at, mask=at < vocabulary, other=-INFINITY)
        found = tl.max((x != -INFINITY).to(tl.int32), 0)
        start += BLOCK
    return found


@triton.jit
def largest(values, count, BLOCK: tl.constexpr):
    """The largest of `count` float32 numbers, and whether one is NaN."""
    lanes = tl.arange(0, BLOCK)
    found = tl.full([BLOCK], -INFINITY, tl.float32)
    wrong = tl.zeros([BLOCK], tl.int32)
    for start in range(0, count, BLOCK):
        at = start + lanes
        x = tl.load(values + at, mask=at < count, other=-INFINITY)
        found = tl.maximum(found, x)
        wrong = wrong | (x != x).to(tl.int32)
    return tl.max(found, 0), tl.max(wrong, 0)


@triton.jit
def least_of(logits, vocabulary, stays, BLOCK: tl.constexpr):
    """The logit from which on a banned token stays: +inf if others stay (`stays`).

    Otherwise the row's largest logit; -inf in a row with NaN, which has no largest one.
    """
    least = tl.full((), INFINITY, tl.float32)
    if stays == 0:
        least, wrong = largest(logits, vocabulary, BLOCK)
        if wrong != 0:
            least = tl.full((), -INFINITY, tl.float32)
    return least


@triton.jit
def remove(logits, vocabulary, stays, BLOCK: tl.constexpr):
    """Removes all tokens if others stay (`stays`), otherwise those below the best one.

    With `stays` the caller writes those that stay again.
    """
    least = least_of(logits, vocabulary, stays, BLOCK)
    lanes = tl.arange(0, BLOCK)
    nothing = tl.full([BLOCK], -INFINITY, tl.float32)
    closed = tl.zeros([BLOCK], tl.int32) + stays
    for start in range(0, vocabulary, BLOCK):
        at = start + lanes
        inside = at < vocabulary
        x = tl.load(logits + at, mask=inside & (closed == 0), other=0.0)
        tl.store(logits + at, nothing, mask=inside & ((closed != 0) | (x < least)))
    tl.debug_barrier()
