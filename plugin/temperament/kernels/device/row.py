"""What is left of a row while its chain runs, and how it is read."""

from typing import NamedTuple

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY, from_key, key, next_up

AHEAD = tl.constexpr(4)  # blocks that are loaded ahead
NO_MASS = tl.constexpr(-87.0)
SPAN = tl.constexpr(32.0)  # nats below the largest value at which a token's mass is negligible


class Row(NamedTuple):
    """The value of a logit x is `(x - shift) / scale`; the tokens with `low <= x <= high` stay."""

    # where the logits are, and how many
    base: tl.tensor
    length: tl.tensor
    # where the tokens' ids are if the row is listed; otherwise a logit's place is its token's id
    tokens: tl.tensor
    listed: tl.tensor
    low: tl.tensor
    high: tl.tensor
    shift: tl.tensor
    scale: tl.tensor
    # the largest value
    best: tl.tensor


@triton.jit
def value_of(row, x):
    """The values of logits."""
    return tl.div_rn(x - row.shift, row.scale)


@triton.jit
def mass_of(row, value):
    """The probabilities of values, in units of the largest one."""
    return tl.exp(tl.maximum(value - row.best, NO_MASS))


@triton.jit
def read(row, at):
    """The logits at these places, their values, and which of them are allowed."""
    x = tl.load(row.base + at, mask=at < row.length, other=-INFINITY)
    value = value_of(row, x)
    return x, value, (x >= row.low) & (x <= row.high) & (value > -INFINITY)


@triton.jit
def tokens_of(row, at):
    """The ids of the tokens at these places."""
    token = at
    if row.listed != 0:
        token = tl.load(row.tokens + at, mask=at < row.length, other=0)
    return token


@triton.jit
def least_logit(row, bound):
    """The least logit whose value is at least `bound`: by bisection over float32's bits."""
    found = bound
    if (row.scale != 1.0) | (row.shift != 0.0):
        first = key(bound * 0.0 - INFINITY).to(tl.int64)
        last = key(bound * 0.0 + INFINITY).to(tl.int64)
        while first < last:
            middle = (first + last) >> 1
            if value_of(row, from_key(middle.to(tl.int32))) >= bound:
                last = middle
            else:
                first = middle + 1
        found = from_key(last.to(tl.int32))
    return found


@triton.jit
def likely(row, share):
    """The least value with e^share of the largest one's mass; the sum is rounded up."""
    exact = row.best.to(tl.float64) + tl.minimum(share, 0.0)
    near = exact.to(tl.float32)
    if near.to(tl.float64) < exact:
        near = next_up(near)
    return near


@triton.jit
def extremes(base, length, BLOCK: tl.constexpr):
    """(largest, least finite logit, whether there is a NaN, the mean logit of the first block)."""
    lanes = tl.arange(0, BLOCK)
    first = tl.full([BLOCK], -INFINITY, tl.float32)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    least = tl.full([BLOCK], INFINITY, tl.float32)
    wrong = tl.zeros([BLOCK], tl.int32)
    for start in tl.range(0, length, BLOCK, num_stages=AHEAD):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        largest = tl.maximum(largest, x)
        least = tl.minimum(least, tl.where(x > -INFINITY, x, INFINITY))
        wrong = wrong | (x != x).to(tl.int32)
        first = tl.where(start == 0, x, first)
    finite = tl.abs(first) < INFINITY
    number = tl.sum(finite.to(tl.int32), 0)
    total = tl.sum(tl.where(finite, first, 0.0).to(tl.float64), 0)
    top = tl.max(largest, 0)
    middle = tl.where(number > 0, (total / tl.maximum(number, 1)).to(tl.float32), top)
    return top, tl.min(least, 0), tl.max(wrong, 0), middle


@triton.jit
def next_value(row, below, BLOCK: tl.constexpr):
    """The largest allowed value below `below`, and how many tokens have it."""
    lanes = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    count = tl.zeros([BLOCK], tl.int32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        _x, value, allowed = read(row, start + lanes)
        value = tl.where(allowed & (value < below), value, -INFINITY)
        count = tl.where(value > largest, 1, count + (value == largest).to(tl.int32))
        largest = tl.maximum(largest, value)
    found = tl.max(largest, 0)
    return found, tl.sum(tl.where(largest == found, count, 0), 0)
