"""The penalties: they change the logits of the tokens in a row's history.

Their cost follows the length of the history. A token that occurs several times is read by each
occurrence before one writes, and each occurrence writes the same number, so their order doesn't
matter; counts are sums and maxima of integers, which don't depend on an order either.
"""

from typing import NamedTuple

import triton
import triton.language as tl

from temperament.kernels.device.bans import has_token, largest
from temperament.kernels.device.bits import FLOAT_MAX, INFINITY
from temperament.kernels.device.opcodes import (
    DRY,
    ENCODER_NO_REPEAT,
    ENCODER_REPETITION,
    FIELDS,
    FREQUENCY,
    N_ALLOWED,
    N_BASE,
    N_DRY_RANGE,
    N_ENCODER,
    N_ENCODER_NO_REPEAT,
    N_FREQUENCY,
    N_MULTIPLIER,
    N_NO_REPEAT,
    N_PRESENCE,
    N_RANGE,
    N_REPETITION,
    PRESENCE,
    REPETITION,
    TOKEN,
)


@triton.jit
def _tokens(tokens, at, end, vocabulary):
    """The tokens at these positions, and whether each is one of the vocabulary."""
    inside = at < end
    token = tl.load(tokens + at, mask=inside, other=-1)
    return token, inside & (token >= 0) & (token < vocabulary)


@triton.jit
def _windowed(start, end, window):
    """Where the last `window` tokens begin; 0 is all."""
    return tl.where(window > 0, tl.maximum(end - window, start), start)


class Continuing(NamedTuple):
    """Which tokens DRY penalizes: those that continue a match, but for some."""

    # [positions] each: the length of the match that ends there; 1 where a breaker would end
    lengths: tl.tensor
    completes: tl.tensor
    # whether there are breakers
    breaks: tl.tensor
    # the first position that counts, the most that a match has, and the least
    start: tl.tensor
    most: tl.tensor
    least: tl.tensor
    # the `width` entries of a list whose tokens aren't penalized
    spared: tl.tensor
    width: tl.tensor


@triton.jit
def _match(dry, at, inside):
    """The length of the match that the token at each position continues, and which counts."""
    length = tl.load(dry.lengths + at - 1, mask=inside & (at > 0), other=0).to(tl.int64)
    long = inside & (length >= dry.least)
    length = tl.minimum(tl.minimum(length, at - dry.start), dry.most)
    long = long & (length >= dry.least)
    if dry.breaks != 0:
        long = long & (tl.load(dry.completes + at, mask=inside, other=0) == 0)
    return length, long


@triton.jit
def _changed(op, tokens, at, end, vocabulary, dry):
    """The token at each position, DRY's match that it continues, and whether it is penalized."""
    token, counts = _tokens(tokens, at, end, vocabulary)
    length = tl.zeros(at.shape, tl.int64)
    if op == DRY:
        length, counts = _match(dry, at, counts)
        for number in range(dry.width):
            counts = counts & (token != tl.load(dry.spared + number * FIELDS + TOKEN))
    return token, length, counts


@triton.jit
def penalize(
    op,
    logits,
    vocabulary,
    text,
    lengths,
    broken,
    completes,
    breaks,
    spared,
    width,
    number,
    before,
    counts,
    BLOCK: tl.constexpr,
):
    """Runs one penalty; `counts` ([vocabulary]) is 0 before and after.

    DRY does nothing to the `width` tokens that are listed in `spared`.
    """
    lanes = tl.arange(0, BLOCK)
    tokens = text.tokens
    first = text.first
    last = text.last
    start = text.middle
    end = last
    penalty = tl.full((), 1.0, tl.float32)
    loss = tl.full((), 0.0, tl.float32)
    allowed = tl.full((), 0, tl.int64)
    since = tl.full((), 0, tl.int64)
    base = tl.full((), 0.0, tl.float64)
    multiplier = tl.full((), 0.0, tl.float64)
    counted = ((op == FREQUENCY) | (op == DRY)).to(tl.int32)
    if op == ENCODER_REPETITION:
        start = first
        end = text.middle
        penalty = tl.div_rn(penalty, tl.load(number + N_ENCODER).to(tl.float32))
    elif op == REPETITION:
        start = _windowed(first, last, tl.load(number + N_RANGE).to(tl.int64))
        penalty = tl.load(number + N_REPETITION).to(tl.float32)
    elif op == FREQUENCY:
        loss = tl.load(number + N_FREQUENCY).to(tl.float32)
    elif op == PRESENCE:
        loss = tl.load(number + N_PRESENCE).to(tl.float32)
    else:
        start = _windowed(first, last, tl.load(number + N_DRY_RANGE).to(tl.int64))
        since = last - 1 - tl.maximum(broken, start - 1)
        allowed = tl.load(number + N_ALLOWED).to(tl.int64)
        base = tl.log(tl.load(number + N_BASE))
        multiplier = tl.load(number + N_MULTIPLIER)

    dry = Continuing(lengths, completes, breaks, start, since, allowed, spared, width)
    if counted != 0:
        # how often a token occurs; or the longest match that it continues, beyond `allowed`
        for position in range(start, end, BLOCK):
            at = position + lanes
            token, length, counts_here = _changed(op, tokens, at, end, vocabulary, dry)
            if op == FREQUENCY:
                tl.atomic_add(counts + token, 1, mask=counts_here, sem="relaxed")
            else:
                excess = (length - allowed + 1).to(tl.int32)
                tl.atomic_max(counts + token, excess, mask=counts_here, sem="relaxed")
        tl.debug_barrier()

    for position in range(start, end, BLOCK):
        at = position + lanes
        token, _length, counts_here = _changed(op, tokens, at, end, vocabulary, dry)
        x = tl.load(logits + token, mask=counts_here, other=0.0)
        times = tl.full([BLOCK], 1, tl.int32)
        if counted != 0:
            times = tl.load(counts + token, mask=counts_here, other=1, cache_modifier=".cg")
        if op == DRY:
            power = multiplier * tl.exp((times - 1).to(tl.float64) * base)
            lower = tl.maximum(x.to(tl.float64) - power, -FLOAT_MAX).to(tl.float32)
            changed = tl.where(tl.abs(x) < INFINITY, lower, x)
        elif (op == FREQUENCY) | (op == PRESENCE):
            changed = x - times.to(tl.float32) * loss
        else:
            changed = tl.where(x > 0.0, tl.div_rn(x, penalty), x * penalty)
            changed = tl.minimum(tl.maximum(changed, -FLOAT_MAX), FLOAT_MAX)
            changed = tl.where(tl.abs(x) < INFINITY, changed, x)
        tl.store(before + at, changed, mask=counts_here)
    tl.debug_barrier()

    for position in range(start, end, BLOCK):
        at = position + lanes
        token, _length, counts_here = _changed(op, tokens, at, end, vocabulary, dry)
        changed = tl.load(before + at, mask=counts_here, other=0.0)
        tl.store(logits + token, changed, mask=counts_here)
        if counted != 0:
            tl.store(counts + token, tl.zeros([BLOCK], tl.int32), mask=counts_here)
    tl.debug_barrier()


@triton.jit
def _repeats(tokens, at, end, vocabulary, lengths, least):
    """The token at each position, and whether it followed `least` tokens like the last ones."""
    token, banned = _tokens(tokens, at, end, vocabulary)
    length = tl.load(lengths + at - 1, mask=banned & (at > 0), other=0)
    return token, banned & (length >= least)


@triton.jit
def ban_repeats(op, logits, vocabulary, text, lengths, number, before, BLOCK: tl.constexpr):
    """Removes the tokens that followed the last n - 1 tokens before."""
    tokens = text.tokens
    first = text.first
    lanes = tl.arange(0, BLOCK)
    least = tl.load(number + N_NO_REPEAT).to(tl.int32) - 1
    end = text.last
    if op == ENCODER_NO_REPEAT:
        least = tl.load(number + N_ENCODER_NO_REPEAT).to(tl.int32) - 1
        end = tl.minimum(text.middle, end)
    for position in range(first, end, BLOCK):
        at = position + lanes
        token, banned = _repeats(tokens, at, end, vocabulary, lengths, least)
        x = tl.load(logits + token, mask=banned, other=-INFINITY)
        tl.store(before + at, x, mask=at < end)
    tl.debug_barrier()
    for position in range(first, end, BLOCK):
        at = position + lanes
        token, banned = _repeats(tokens, at, end, vocabulary, lengths, least)
        nothing = tl.full([BLOCK], -INFINITY, tl.float32)
        tl.store(logits + token, nothing, mask=banned)
    tl.debug_barrier()
    if (first < end) & (has_token(logits, vocabulary, BLOCK) == 0):
        best, _wrong = largest(before + first, end - first, BLOCK)
        for position in range(first, end, BLOCK):
            at = position + lanes
            token, banned = _tokens(tokens, at, end, vocabulary)
            x = tl.load(before + at, mask=banned, other=-INFINITY)
            tl.store(logits + token, x, mask=banned & (x == best) & (x > -INFINITY))
        tl.debug_barrier()
