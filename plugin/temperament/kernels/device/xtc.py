"""XTC: by chance, of the tokens above a threshold only the last stays (`temperament.ops.xtc`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_XTC_PROBABILITY, N_XTC_STRUCTURE, N_XTC_THRESHOLD
from temperament.kernels.device.random import noise_key, uniform
from temperament.kernels.device.row import tokens_of, value_of
from temperament.kernels.device.search import BY_MASS, extent

DRAW = tl.constexpr(1)


@triton.jit
def last_of(row, number, sums, seed, position, BLOCK: tl.constexpr):
    """The value above which tokens are removed; the largest one if none are."""
    last = row.best
    noise = noise_key(seed, position, DRAW)
    if uniform(noise) < tl.load(number + N_XTC_PROBABILITY):
        threshold = (tl.load(number + N_XTC_THRESHOLD) * sums.total).to(tl.float32)
        least, _most = extent(row, row.best, BY_MASS, threshold, BLOCK)
        if least < INFINITY:
            last = value_of(row, least)
    return last


@triton.jit
def spares_newlines(number, newlines):
    """Whether tokens with a line's end are never removed; not if there is no `newlines`."""
    return (newlines != 0) & (tl.load(number + N_XTC_STRUCTURE) != 0.0)


@triton.jit
def stays(row, at, value, last, protected, width, newline, newlines):
    """Which tokens stay: up to `last`, the protected ones, and with `newlines` line's ends."""
    token = tokens_of(row, at)
    kept = value <= last
    if newlines:
        kept = kept | (tl.load(newline + token, mask=at < row.length, other=0) != 0)
    for entry in range(width):
        kept = kept | (token == tl.load(protected + entry))
    return kept
