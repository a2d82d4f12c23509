"""Texts in the bytes of tokens: the automata of `temperament.ops.automata`, in kernels."""

from typing import NamedTuple

import triton
import triton.language as tl

from temperament.kernels.device.bans import least_of
from temperament.kernels.device.bits import INFINITY


class Automata(NamedTuple):
    """The tables of `temperament.ops.automata.Automata`; a vocabulary of `size` tokens."""

    sets: tl.tensor
    offsets: tl.tensor
    keys: tl.tensor
    plain: tl.tensor
    other: tl.tensor
    hits: tl.tensor
    other_hits: tl.tensor
    size: tl.tensor


@triton.jit
def _exception(automata, state, token, counts):
    """Where the exception of each state for a token is, and whether there is one."""
    low = tl.load(automata.offsets + state, mask=counts, other=0)
    end = tl.load(automata.offsets + state + 1, mask=counts, other=0)
    high = end
    wanted = state.to(tl.int64) * automata.size + token
    while tl.max(high - low, 0) > 0:
        middle = (low + high) // 2
        searching = low < high
        less = tl.load(automata.keys + middle, mask=counts & searching, other=0) < wanted
        low = tl.where(searching & less, middle + 1, low)
        high = tl.where(searching & ~less, middle, high)
    found = counts & (low < end)
    return low, found & (tl.load(automata.keys + low, mask=found, other=-1) == wanted)


@triton.jit
def _after(automata, state, token, counts, root):
    """The state after a token; a token without bytes leads to the root."""
    known = counts & (token >= 0) & (token < automata.size)
    token = tl.where(known, token, 0)
    chosen = tl.load(automata.sets + state)
    after = tl.load(automata.plain + chosen * automata.size + token, mask=known, other=0)
    where, is_exception = _exception(automata, state, token, known)
    other = tl.load(automata.other + where, mask=is_exception, other=0)
    after = tl.where(is_exception, other, after)
    return tl.where(counts, tl.where(known, after.to(tl.int64), root), state)


@triton.jit
def _ends(automata, state, token, counts):
    """Whether a text ends within a token."""
    known = counts & (token >= 0) & (token < automata.size)
    token = tl.where(known, token, 0)
    chosen = tl.load(automata.sets + state)
    hit = tl.load(automata.hits + chosen * automata.size + token, mask=known, other=0)
    where, is_exception = _exception(automata, state, token, known)
    other = tl.load(automata.other_hits + where, mask=is_exception, other=0)
    hit = tl.where(is_exception, other, hit)
    return known & (hit != 0)


@triton.jit
def state_at(automata, tokens, start, end, window, root, BLOCK: tl.constexpr):
    """The state after the last `window` tokens before each of the positions `end` ([BLOCK])."""
    state = tl.zeros([BLOCK], tl.int64) + root
    for number in range(window):
        at = end - window + number
        counts = at >= start
        token = tl.load(tokens + at, mask=counts, other=0)
        state = _after(automata, state, token, counts, root)
    return state


@triton.jit
def find_breakers(automata, text, window, root, completes, BLOCK: tl.constexpr):
    """The last position in whose token a text ends, -1 without one.

    Marks in `completes` the positions whose token would complete a text after the last token.
    """
    lanes = tl.arange(0, BLOCK)
    tokens = text.tokens
    start = text.first
    end = text.last
    ends = end + tl.zeros([BLOCK], tl.int64)
    tail = state_at(automata, tokens, start, ends, window, root, BLOCK)
    last = tl.full([BLOCK], -1, tl.int64)
    for position in range(start, end, BLOCK):
        at = position + lanes
        inside = at < end
        token = tl.load(tokens + at, mask=inside, other=-1)
        before = tl.where(inside, at, start)
        state = state_at(automata, tokens, start, before, window, root, BLOCK)
        hit = _ends(automata, state, token, inside)
        last = tl.where(hit, at, last)
        done = _ends(automata, tail, token, inside)
        tl.store(completes + at, done.to(tl.int8), mask=inside)
    tl.debug_barrier()
    return tl.max(last, 0)


@triton.jit
def _banned(automata, at, inside, chosen, counts):
    """Whether a text ends within each token."""
    size = automata.size
    known = inside & (at < size)
    hit = tl.load(automata.hits + chosen * size + at, mask=known, other=0).to(tl.int32)
    exception = tl.load(counts + at, mask=inside, other=0, cache_modifier=".cg")
    return tl.where(exception > 0, exception - 1, hit) != 0


@triton.jit
def ban_texts(automata, logits, vocabulary, text, window, root, counts, BLOCK: tl.constexpr):
    """Removes the tokens in which a text would end.

    `counts` ([vocabulary]) is 0 before and after.
    """
    lanes = tl.arange(0, BLOCK)
    ends = text.last + tl.zeros([BLOCK], tl.int64)
    states = state_at(automata, text.tokens, text.middle, ends, window, root, BLOCK)
    state = tl.max(states, 0)
    chosen = tl.load(automata.sets + state)
    first = tl.load(automata.offsets + state)
    last = tl.load(automata.offsets + state + 1)
    for position in range(first, last, BLOCK):
        at = position + lanes
        token = tl.load(automata.keys + at, mask=at < last, other=0) % automata.size
        hit = tl.load(automata.other_hits + at, mask=at < last, other=0).to(tl.int32)
        tl.store(counts + token, hit + 1, mask=(at < last) & (token < vocabulary))
    tl.debug_barrier()
    stays = tl.full((), 0, tl.int32)
    position = tl.full((), 0, tl.int32)
    while (stays == 0) & (position < vocabulary):
        at = position + lanes
        x = tl.load(logits + at, mask=at < vocabulary, other=-INFINITY)
        banned = _banned(automata, at, at < vocabulary, chosen, counts)
        stays = tl.max(((x > -INFINITY) & ~banned).to(tl.int32), 0)
        position += BLOCK
    least = least_of(logits, vocabulary, stays, BLOCK)
    nothing = tl.full([BLOCK], -INFINITY, tl.float32)
    closed = tl.zeros([BLOCK], tl.int32) + stays
    for position in range(0, vocabulary, BLOCK):
        at = position + lanes
        inside = at < vocabulary
        x = tl.load(logits + at, mask=inside & (closed == 0), other=0.0)
        banned = _banned(automata, at, inside, chosen, counts)
        tl.store(logits + at, nothing, mask=inside & banned & ((closed != 0) | (x < least)))
    tl.debug_barrier()
    for position in range(first, last, BLOCK):
        at = position + lanes
        token = tl.load(automata.keys + at, mask=at < last, other=0) % automata.size
        tl.store(
            counts + token, tl.zeros([BLOCK], tl.int32), mask=(at < last) & (token < vocabulary)
        )
    tl.debug_barrier()
