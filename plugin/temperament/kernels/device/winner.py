"""The one token that stays: the largest, or that with the largest value plus noise."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.random import gumbel
from temperament.kernels.device.row import AHEAD, read, tokens_of


@triton.jit
def winner_of(row, noisy, noise, BLOCK: tl.constexpr):
    """The place in the row of the largest value, plus Gumbel noise of its id if `noisy`.

    Of equal ones the first.
    """
    lanes = tl.arange(0, BLOCK)
    best = tl.full((), -INFINITY, tl.float64)
    winner = tl.full((), 0, tl.int32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        at = start + lanes
        _x, value, allowed = read(row, at)
        score = value.to(tl.float64)
        if noisy:
            score += gumbel(noise, tokens_of(row, at).to(tl.int64))
        score = tl.where(allowed, score, -INFINITY)
        largest = tl.max(score, 0)
        if largest > best:
            best = largest
            winner = tl.min(tl.where(score == largest, at, row.length), 0)
    return winner
