"""Texts in the bytes of tokens: the automata of `temperament.ops.automata`, in kernels."""

import triton
import triton.language as tl

from temperament.kernels.device.bans import least_of
from temperament.kernels.device.bits import INFINITY


@triton.jit
def _exception(state, token, counts, offsets, keys, size):
    """Where the exception of each state for a token is, and whether there is one."""
    low = tl.load(offsets + state, mask=counts, other=0)
    end = tl.load(offsets + state + 1, mask=counts, other=0)
    high = end
    wanted = state.to(tl.int64) * size + token
    while tl.max(high - low, 0) > 0:
        middle = (low + high) // 2
        searching = low < high
        less = tl.load(keys + middle, mask=counts & searching, other=0) < wanted
        low = tl.where(searching & less, middle + 1, low)
        high = tl.where(searching & ~less, middle, high)
    found = counts & (low < end)
    return low, found & (tl.load(keys + low, mask=found, other=-1) == wanted)


@triton.jit
def _after(state, token, counts, root, sets, offsets, keys, plain, other, size):
    """The state after a token; a token without bytes leads to the root."""
    known = counts & (token >= 0) & (token < size)
    token = tl.where(known, token, 0)
    chosen = tl.load(sets + state)
    after = tl.load(plain + chosen * size + token, mask=known, other=0)
    where, is_exception = _exception(state, token, known, offsets, keys, size)
    after = tl.where(is_exception, tl.load(other + where, mask=is_exception, other=0), after)
    return tl.where(counts, tl.where(known, after.to(tl.int64), root), state)


@triton.jit
def _ends(state, token, counts, sets, offsets, keys, hits, other_hits, size):
    """Whether a text ends within a token."""
    known = counts & (token >= 0) & (token < size)
    token = tl.where(known, token, 0)
    chosen = tl.load(sets + state)
    hit = tl.load(hits + chosen * size + token, mask=known, other=0)
    where, is_exception = _exception(state, token, known, offsets, keys, size)
    hit = tl.where(is_exception, tl.load(other_hits + where, mask=is_exception, other=0), hit)
    return known & (hit != 0)


@triton.jit
def state_at(
    tokens, start, end, window, root, sets, offsets, keys, plain, other, size, BLOCK: tl.constexpr
):
    """The state after the last `window` tokens before each of the positions `end` ([BLOCK])."""
    state = tl.zeros([BLOCK], tl.int64) + root
    for number in range(window):
        at = end - window + number
        counts = at >= start
        token = tl.load(tokens + at, mask=counts, other=0)
        state = _after(state, token, counts, root, sets, offsets, keys, plain, other, size)
    return state


@triton.jit
def find_breakers(
    tokens, start, end, window, root, completes, sets, offsets, keys, plain, other, hits,
    other_hits, size, BLOCK: tl.constexpr,
):  # fmt: skip
    """The last position in whose token a text ends, -1 without one.

    Marks in `completes` the positions whose token would complete a text after the last token.
    """
    lanes = tl.arange(0, BLOCK)
    tail = state_at(
        tokens, start, end + tl.zeros([BLOCK], tl.int64), window, root, sets, offsets, keys, plain,
        other, size, BLOCK,
    )  # fmt: skip
    last = tl.full([BLOCK], -1, tl.int64)
    for position in range(start, end, BLOCK):
        at = position + lanes
        inside = at < end
        token = tl.load(tokens + at, mask=inside, other=-1)
        state = state_at(
            tokens, start, tl.where(inside, at, start), window, root, sets, offsets, keys, plain,
            other, size, BLOCK,
        )  # fmt: skip
        hit = _ends(state, token, inside, sets, offsets, keys, hits, other_hits, size)
        last = tl.where(hit, at, last)
        done = _ends(tail, token, inside, sets, offsets, keys, hits, other_hits, size)
        tl.store(completes + at, done.to(tl.int8), mask=inside)
    tl.debug_barrier()
    return tl.max(last, 0)


@triton.jit
def _banned(at, inside, chosen, counts, hits, size):
    """Whether a text ends within each token."""
    known = inside & (at < size)
    hit = tl.load(hits + chosen * size + at, mask=known, other=0).to(tl.int32)
    exception = tl.load(counts + at, mask=inside, other=0, cache_modifier=".cg")
    return tl.where(exception > 0, exception - 1, hit) != 0


@triton.jit
def ban_texts(
    logits, vocabulary, tokens, start, end, window, root, counts, sets, offsets, keys, plain, other,
    hits, other_hits, size, BLOCK: tl.constexpr,
):  # fmt: skip
    """Removes the tokens in which a text would end. `counts` ([vocabulary]) is 0, and so again."""
    lanes = tl.arange(0, BLOCK)
    states = state_at(
        tokens, start, end + tl.zeros([BLOCK], tl.int64), window, root, sets, offsets, keys, plain,
        other, size, BLOCK,
    )  # fmt: skip
    state = tl.max(states, 0)
    chosen = tl.load(sets + state)
    first = tl.load(offsets + state)
    last = tl.load(offsets + state + 1)
    for position in range(first, last, BLOCK):
        at = position + lanes
        token = tl.load(keys + at, mask=at < last, other=0) % size
        hit = tl.load(other_hits + at, mask=at < last, other=0).to(tl.int32)
        tl.store(counts + token, hit + 1, mask=(at < last) & (token < vocabulary))
    tl.debug_barrier()
    stays = tl.full((), 0, tl.int32)
    position = tl.full((), 0, tl.int32)
    while (stays == 0) & (position < vocabulary):
        at = position + lanes
        x = tl.load(logits + at, mask=at < vocabulary, other=-INFINITY)
        banned = _banned(at, at < vocabulary, chosen, counts, hits, size)
        stays = tl.max(((x > -INFINITY) & ~banned).to(tl.int32), 0)
        position += BLOCK
    least = least_of(logits, vocabulary, stays, BLOCK)
    nothing = tl.full([BLOCK], -INFINITY, tl.float32)
    closed = tl.zeros([BLOCK], tl.int32) + stays
    for position in range(0, vocabulary, BLOCK):
        at = position + lanes
        inside = at < vocabulary
        x = tl.load(logits + at, mask=inside & (closed == 0), other=0.0)
        banned = _banned(at, inside, chosen, counts, hits, size)
        tl.store(logits + at, nothing, mask=inside & banned & ((closed != 0) | (x < least)))
    tl.debug_barrier()
    for position in range(first, last, BLOCK):
        at = position + lanes
        token = tl.load(keys + at, mask=at < last, other=0) % size
        tl.store(
            counts + token, tl.zeros([BLOCK], tl.int32), mask=(at < last) & (token < vocabulary)
        )
    tl.debug_barrier()
