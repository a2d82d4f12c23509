"""How a threshold is found: by counting, or by summing masses, above some pivots at once.

The pivots come ever closer, first evenly in value, then over the order-preserving bits of float32;
nothing is sorted. As soon as few enough tokens are left, they are copied to a short list, which is
read from then on.
"""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY, KEY_OF_LEAST, from_key, key
from temperament.kernels.device.row import AHEAD, SPAN, Row, mass_of, read, value_of

LINEAR = tl.constexpr(3)  # rounds whose pivots are evenly spaced in value, before those in bits

# By which metric tokens are ranked.
BY_VALUE = tl.constexpr(0)
BY_NEARNESS = tl.constexpr(1)
BY_MASS = tl.constexpr(2)


@triton.jit
def _metric(row, value, mean, metric):
    """What the tokens are ranked by: float32, the largest first."""
    ranked = value
    if metric == BY_NEARNESS:
        ranked = -tl.abs((value - row.best) - mean)
    elif metric == BY_MASS:
        ranked = mass_of(row, value)
    return ranked


@triton.jit
def _above(row, mean, metric, by_mass, pivot, PIVOTS: tl.constexpr, BLOCK: tl.constexpr):
    """How many allowed tokens rank above each pivot, and their mass: [PIVOTS] each, float64."""
    lanes = tl.arange(0, BLOCK)
    count = tl.zeros([PIVOTS, BLOCK], tl.int32)
    mass = tl.zeros([PIVOTS, BLOCK], tl.float32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        _x, value, allowed = read(row, start + lanes)
        ranked = tl.where(allowed, _metric(row, value, mean, metric), -INFINITY)
        over = ranked[None, :] > pivot[:, None]
        count += over.to(tl.int32)
        if by_mass != 0:
            mass += tl.where(over, mass_of(row, value)[None, :], 0.0)
    number = tl.sum(count, 1).to(tl.float64)
    weight = number
    if by_mass != 0:
        weight = tl.sum(mass.to(tl.float64), 1)
    return number, weight


@triton.jit
def collect(
    row, mean, metric, after, until, values, tokens, CAPACITY: tl.constexpr, BLOCK: tl.constexpr
):
    """Copies the logits and ids of the allowed tokens with `after < metric <= until`; their number.

    In the order of their ids. The row must not be listed.
    """
    lanes = tl.arange(0, BLOCK)
    count = 0
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        at = start + lanes
        x, value, allowed = read(row, at)
        ranked = tl.where(allowed, _metric(row, value, mean, metric), -INFINITY)
        taken = (ranked > after) & (ranked <= until)
        number = taken.to(tl.int32)
        place = count + tl.cumsum(number, 0) - number
        tl.store(values + place, x, mask=taken & (place < CAPACITY))
        tl.store(tokens + place, at, mask=taken & (place < CAPACITY))
        count += tl.sum(number, 0)
    tl.debug_barrier()
    return count


@triton.jit
def extent(row, mean, metric, least, BLOCK: tl.constexpr):
    """The least and the largest logit of the allowed tokens with `metric >= least`."""
    lanes = tl.arange(0, BLOCK)
    first = tl.full([BLOCK], INFINITY, tl.float32)
    last = tl.full([BLOCK], -INFINITY, tl.float32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        x, value, allowed = read(row, start + lanes)
        taken = allowed & (_metric(row, value, mean, metric) >= least)
        first = tl.minimum(first, tl.where(taken, x, INFINITY))
        last = tl.maximum(last, tl.where(taken, x, -INFINITY))
    return tl.min(first, 0), tl.max(last, 0)


@triton.jit
def search(
    row,
    bottom,
    mean,
    metric,
    by_mass,
    goal,
    share,
    unknown,
    values,
    tokens,
    PIVOTS: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Finds the threshold: the metric of the lowest-ranked token with less than `goal` above it.

    `goal` is a number of tokens or, with `by_mass`, a mass. An `unknown` goal is `share` of the
    row's mass, which the first round finds. `bottom` is the least logit that counts. Where few
    tokens are left, they are listed in `values` and `tokens`.

    Returns (the threshold; the row, as a list if all tokens that stay are listed).
    """
    # The threshold lies in (after, until], as keys; the counts of tokens above both are known.
    part = row
    after = tl.maximum(key(value_of(row, row.low)) - 1, KEY_OF_LEAST).to(tl.int64)
    until = key(row.best).to(tl.int64)
    far = value_of(row, bottom)
    if metric == BY_NEARNESS:
        after = after * 0 + KEY_OF_LEAST
        until = until * 0
        far = -tl.maximum(-mean, mean - (far - row.best))
    more = row.length.to(tl.float64)
    fewer = tl.full((), 0.0, tl.float64)
    heavier = tl.full((), 0.0, tl.float64)
    known_number = tl.full((), 0.0, tl.float64)
    known_weight = tl.full((), 0.0, tl.float64)
    whole = ((row.listed == 0) & (row.length > CAPACITY)).to(tl.int32)
    turn = 0
    while (until - after > 1) & (more - fewer > 1.0):
        rank = tl.arange(0, PIVOTS)
        if turn < LINEAR:
            highest = from_key(until.to(tl.int32))
            lowest = from_key(after.to(tl.int32))
            lowest = tl.maximum(tl.maximum(lowest, far), highest - SPAN)
            fraction = (rank + 1).to(tl.float32) / PIVOTS
            at = key(highest - (highest - lowest) * fraction).to(tl.int64)
        else:
            at = after + (until - after) * (rank + 1).to(tl.int64) // (PIVOTS + 1)
        at = tl.minimum(tl.maximum(at, after + 1), until - 1)
        if turn == 0:  # the last pivot is below all tokens
            at = tl.where(rank == PIVOTS - 1, after, at)
        n, w = _above(part, mean, metric, by_mass, from_key(at.to(tl.int32)), PIVOTS, BLOCK)
        n += known_number
        w += known_weight
        if (unknown != 0) & (turn == 0):
            goal = (share * tl.max(w, 0).to(tl.float32)).to(tl.float64)
        stays = w < goal
        heavier = tl.maximum(heavier, tl.max(tl.where(stays, w, heavier), 0))
        fewer = tl.maximum(fewer, tl.max(tl.where(stays, n, fewer), 0))
        more = tl.minimum(more, tl.min(tl.where(stays, more, n), 0))
        last = tl.min(tl.where(stays, at, until), 0)
        after = tl.max(tl.where(stays, after, at), 0)
        until = last
        turn += 1
        if whole != 0:
            # Few enough are left for a list: of all that can stay, or of those between the
            # bounds of the search.
            all_left = more <= CAPACITY
            if all_left | (more - fewer <= CAPACITY):
                whole = whole * 0
                ceiling = row.best * 0.0 + INFINITY
                if more > CAPACITY:
                    ceiling = from_key(until.to(tl.int32))
                    known_number = fewer
                    known_weight = heavier
                count = collect(
                    row,
                    mean,
                    metric,
                    from_key(after.to(tl.int32)),
                    ceiling,
                    values,
                    tokens,
                    CAPACITY,
                    BLOCK,
                )
                part = Row(
                    values,
                    count,
                    tokens,
                    row.listed + 1,
                    row.low,
                    row.high,
                    row.shift,
                    row.scale,
                    row.best,
                )
                if all_left:
                    row = part
    return from_key((after + 1).to(tl.int32)), row
