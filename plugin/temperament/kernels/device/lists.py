"""The stages on lists of tokens or sequences: biases, bans, and those that keep only listed tokens.

Of several entries with the same token the first one applies all, in their order.
"""

import triton
import triton.language as tl

from temperament.kernels.device.bans import has_token, largest, remove
from temperament.kernels.device.bits import FLOAT_MAX, INFINITY
from temperament.kernels.device.opcodes import (
    BEGIN_SUPPRESS,
    DECAY,
    FIELDS,
    FORCED_LAST,
    LENGTH,
    MIN_NEW_TOKENS,
    N_DECAY_FACTOR,
    N_DECAY_START,
    N_MIN_NEW,
    PREFIX,
    RUN,
    SUPPRESS,
    TOKEN,
    VALUE,
)


@triton.jit
def _token_of(entries, at, count):
    """The token of each entry of a list, 0 beyond its end."""
    return tl.load(entries + at * FIELDS + TOKEN, mask=at < count, other=0)


@triton.jit
def _matched(entries, entry, counts, prefixes, text):
    """Whether the row's tokens end with each entry's prefix."""
    length = tl.load(entries + entry * FIELDS + LENGTH, mask=counts, other=0)
    prefix = prefixes + tl.load(entries + entry * FIELDS + PREFIX, mask=counts, other=0)
    matched = counts & (text.last - length >= text.first)
    for number in range(tl.max(length, 0)):
        inside = matched & (number < length)
        wanted = tl.load(prefix + number, mask=inside, other=0)
        token = tl.load(text.tokens + (text.last - length + number), mask=inside, other=0)
        matched = matched & ((number >= length) | (token == wanted))
    return matched


@triton.jit
def change_listed(
    op, logits, vocabulary, entries, count, prefixes, text, number, before, BLOCK: tl.constexpr
):
    """Adds the listed numbers, or removes the listed tokens."""
    lanes = tl.arange(0, BLOCK)
    active = tl.full((), 1, tl.int32)
    growth = tl.full((), 0.0, tl.float64)
    generated = text.last - text.middle
    if op == BEGIN_SUPPRESS:
        active = (generated == 0).to(tl.int32)
    elif op == MIN_NEW_TOKENS:
        active = (generated < tl.load(number + N_MIN_NEW)).to(tl.int32)
    elif op == DECAY:
        past = generated - tl.load(number + N_DECAY_START)
        active = (past > 0).to(tl.int32)
        power = past * tl.log(tl.load(number + N_DECAY_FACTOR))
        growth = tl.minimum(tl.exp(tl.minimum(power, 700.0)) - 1.0, 1e300)
    if active == 0:
        count = count * 0
    for start in range(0, count, BLOCK):
        at = start + lanes
        inside = at < count
        token = _token_of(entries, at, count)
        run = tl.load(entries + at * FIELDS + RUN, mask=inside, other=0)
        first_one = inside & (run > 0) & (token < vocabulary)
        run = tl.where(first_one, run, 0)
        x = tl.load(logits + token, mask=first_one, other=-INFINITY)
        changed = x
        if op == DECAY:
            wide = x.to(tl.float64)
            wide = wide + tl.abs(wide) * growth
            wide = tl.minimum(tl.maximum(wide, -FLOAT_MAX), FLOAT_MAX)
            changed = tl.where(tl.abs(x) < INFINITY, wide.to(tl.float32), x)
        else:
            for more in range(tl.max(run, 0)):
                counts = more < run
                matched = _matched(entries, at + more, counts, prefixes, text)
                bits = tl.load(entries + (at + more) * FIELDS + VALUE, mask=counts, other=0)
                added = changed + bits.to(tl.float32, bitcast=True)
                if op >= SUPPRESS:
                    added = tl.full([BLOCK], -INFINITY, tl.float32)
                changed = tl.where(matched, added, changed)
        if op >= SUPPRESS:  # the logits to restore if the row would lose all of them
            tl.store(before + at, tl.where(changed == -INFINITY, x, -INFINITY), mask=inside)
        tl.store(logits + token, changed, mask=first_one)
    tl.debug_barrier()
    if (op >= SUPPRESS) & (count > 0):
        if has_token(logits, vocabulary, BLOCK) == 0:
            best, _wrong = largest(before, count, BLOCK)
            for start in range(0, count, BLOCK):
                at = start + lanes
                x = tl.load(before + at, mask=at < count, other=-INFINITY)
                token = _token_of(entries, at, count)
                tl.store(logits + token, x, mask=(at < count) & (x == best) & (x > -INFINITY))
            tl.debug_barrier()


@triton.jit
def keep_listed(op, logits, vocabulary, entries, count, before, BLOCK: tl.constexpr):
    """Removes all tokens but the listed ones; the last token that is forced gets a logit of 0."""
    lanes = tl.arange(0, BLOCK)
    stays = tl.full((), 0, tl.int32)
    for start in range(0, count, BLOCK):
        at = start + lanes
        inside = at < count
        token = _token_of(entries, at, count)
        x = tl.load(logits + token, mask=inside & (token < vocabulary), other=-INFINITY)
        tl.store(before + at, x, mask=inside)
        stays = stays | tl.max((x > -INFINITY).to(tl.int32), 0)
    tl.debug_barrier()
    remove(logits, vocabulary, stays, BLOCK)
    if stays != 0:
        for start in range(0, count, BLOCK):
            at = start + lanes
            inside = at < count
            token = _token_of(entries, at, count)
            x = tl.load(before + at, mask=inside, other=-INFINITY)
            tl.store(logits + token, x, mask=inside & (token < vocabulary))
        tl.debug_barrier()
    if op == FORCED_LAST:
        for start in range(0, vocabulary, BLOCK):
            at = start + lanes
            x = tl.load(logits + at, mask=at < vocabulary, other=-INFINITY)
            tl.store(logits + at, tl.zeros([BLOCK], tl.float32), mask=x > -INFINITY)
        tl.debug_barrier()


@triton.jit
def keep_token(logits, vocabulary, token, BLOCK: tl.constexpr):
    """Removes all tokens but one."""
    x = tl.load(logits + token)
    tl.debug_barrier()
    stays = (x > -INFINITY).to(tl.int32)
    remove(logits, vocabulary, stays, BLOCK)
    if stays != 0:
        tl.store(logits + token, x)
        tl.debug_barrier()


@triton.jit
def make_valid(logits, vocabulary, BLOCK: tl.constexpr):
    """NaN becomes 0, and +inf the largest float32."""
    lanes = tl.arange(0, BLOCK)
    for start in range(0, vocabulary, BLOCK):
        at = start + lanes
        x = tl.load(logits + at, mask=at < vocabulary, other=0.0)
        valid = tl.where(x != x, 0.0, tl.where(x == INFINITY, FLOAT_MAX, x))
        tl.store(logits + at, valid, mask=at < vocabulary)
    tl.debug_barrier()
