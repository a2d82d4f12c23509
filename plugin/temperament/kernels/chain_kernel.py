"""The kernel of shapes and cuts: one program a row runs all of the row's chain.

Shapes and cuts map a row monotonically and keep an interval of it. So the state of a row is a few
numbers: the value of a logit x is `(x - shift) / scale`, and the tokens with `low <= x <= high` are
allowed. A threshold is found by counting, or by summing masses, above some pivots at once, ever
more closely, over the order-preserving bits of float32; nothing is sorted. As soon as few enough
tokens are left, they are copied to a short list, and all that follows reads the list. The row is
written once, at the end of its chain; a shape that isn't a division writes it in between.

Every sum has the same order for a row alone and in any batch: a program reads its row in blocks of
a fixed size, adds in float32 in each lane, and adds the lanes in float64. There are no atomics.

A row with NaN or +inf, or without an allowed token, stays as it is. The specification is
`temperament.ops`; Triton's functions have no types that mypy could check.
"""

import triton
import triton.language as tl

from temperament.kernels.bits import FLOAT_MAX, INFINITY, KEY_OF_LEAST, from_key, key, next_up
from temperament.kernels.opcodes import (
    ADAPTIVE,
    ADAPTIVE_STORE,
    DYNAMIC_TEMPERATURE,
    END,
    EPSILON,
    ETA,
    MIN_P,
    MIROSTAT_1,
    MIROSTAT_1_CUT,
    MIROSTAT_2,
    MIROSTAT_STORE,
    N_DECAY,
    N_DYNATEMP_EXPONENT,
    N_DYNATEMP_HIGH,
    N_DYNATEMP_LOW,
    N_EPSILON,
    N_ETA,
    N_ETA_RATE,
    N_MIN_P,
    N_SMOOTHING_CURVE,
    N_SMOOTHING_FACTOR,
    N_TARGET,
    N_TAU,
    N_TEMPERATURE,
    N_TOP_A,
    N_TOP_H,
    N_TOP_K,
    N_TOP_N_SIGMA,
    N_TOP_P,
    N_TYPICAL_P,
    N_XTC_PROBABILITY,
    N_XTC_STRUCTURE,
    N_XTC_THRESHOLD,
    NUMBERS,
    ON_SOME,
    P_LESS,
    RENORMALIZE,
    REPRODUCIBLE,
    SMOOTHING,
    STEPS,
    TEMPERATURE,
    TOP_A,
    TOP_H,
    TOP_H_MOST,
    TOP_K,
    TOP_N_SIGMA,
    TOP_P,
    TYPICAL_P,
    XTC,
)
from temperament.kernels.random import gumbel, noise_key, uniform

NO_MASS = tl.constexpr(-87.0)
LINEAR = tl.constexpr(3)  # rounds whose pivots are evenly spaced in value, before those in bits
STAGES = tl.constexpr(4)  # blocks that are loaded ahead
SPAN = tl.constexpr(32.0)  # below the largest value by this much, a token has no mass to speak of
SHIFTED_BELOW = tl.constexpr(1e-30)  # `ops.temperature`
TINY = tl.constexpr(2.0**-126)
TOP = tl.constexpr(100)  # the tokens of which top-h and mirostat 1 read the probabilities
LN_2 = tl.constexpr(0.6931471805599453)
# `ops.adaptive_p`
WIDTH = tl.constexpr(0.3)
PEAK = tl.constexpr(5.0)
SHARPNESS = tl.constexpr(-10.0)
XTC_DRAW = tl.constexpr(1)

# What `_rewrite` does to the values.
SAME = tl.constexpr(0)
SMOOTHED = tl.constexpr(1)
LESS = tl.constexpr(2)
ADAPTED = tl.constexpr(3)
UNPROTECTED = tl.constexpr(4)

# By which metric tokens are ranked.
BY_VALUE = tl.constexpr(0)
BY_NEARNESS = tl.constexpr(1)
BY_MASS = tl.constexpr(2)


@triton.jit
def _value(x, shift, scale):
    return tl.div_rn(x - shift, scale)


@triton.jit
def _mass(value, best):
    return tl.exp(tl.maximum(value - best, NO_MASS))


@triton.jit
def _metric(value, best, mean, metric):
    """What the tokens are ranked by: float32, the largest first."""
    ranked = value
    if metric == BY_NEARNESS:
        ranked = -tl.abs((value - best) - mean)
    elif metric == BY_MASS:
        ranked = _mass(value, best)
    return ranked


@triton.jit
def _least_logit(bound, shift, scale):
    """The least logit whose value is at least `bound`: by bisection over float32's bits."""
    found = bound
    if (scale != 1.0) | (shift != 0.0):
        first = key(bound * 0.0 - INFINITY).to(tl.int64)
        last = key(bound * 0.0 + INFINITY).to(tl.int64)
        while first < last:
            middle = (first + last) >> 1
            if _value(from_key(middle.to(tl.int32)), shift, scale) >= bound:
                last = middle
            else:
                first = middle + 1
        found = from_key(last.to(tl.int32))
    return found


@triton.jit
def _likely(best, share):
    """The least value with e^share of the largest one's mass; the sum is rounded up."""
    exact = best.to(tl.float64) + tl.minimum(share, 0.0)
    near = exact.to(tl.float32)
    if near.to(tl.float64) < exact:
        near = next_up(near)
    return near


@triton.jit
def _extremes(base, length, BLOCK: tl.constexpr):
    """(largest, least finite logit, whether there is a NaN, the mean logit of the first block)."""
    lanes = tl.arange(0, BLOCK)
    first = tl.full([BLOCK], -INFINITY, tl.float32)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    least = tl.full([BLOCK], INFINITY, tl.float32)
    wrong = tl.zeros([BLOCK], tl.int32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
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
def _sums(base, length, low, high, shift, scale, best, BLOCK: tl.constexpr):
    """Over the allowed tokens: how many there are, and how many equal the largest; of the others

    the sums of m, m d and m^2, for d = value - largest and m = e^d (float64).
    """
    lanes = tl.arange(0, BLOCK)
    count = tl.zeros([BLOCK], tl.int32)
    equal = tl.zeros([BLOCK], tl.int32)
    rest = tl.zeros([BLOCK], tl.float32)
    weighted = tl.zeros([BLOCK], tl.float32)
    squares = tl.zeros([BLOCK], tl.float32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        distance = tl.where(allowed, value - best, NO_MASS)
        same = allowed & (distance == 0.0)
        mass = tl.where(allowed & (distance > NO_MASS) & (distance < 0.0), tl.exp(distance), 0.0)
        count += allowed.to(tl.int32)
        equal += same.to(tl.int32)
        rest += mass
        weighted += mass * distance
        squares += mass * mass
    return (
        tl.sum(count, 0),
        tl.sum(equal, 0).to(tl.float64),
        tl.sum(rest.to(tl.float64), 0),
        tl.sum(weighted.to(tl.float64), 0),
        tl.sum(squares.to(tl.float64), 0),
    )


@triton.jit
def _deviation(base, length, low, high, shift, scale, middle, BLOCK: tl.constexpr):
    """The population's deviation of the allowed values, float64.

    `mean(d^2) - mean(d)^2` for d = value - `middle`, which is among the values, so that the two
    means don't cancel.
    """
    lanes = tl.arange(0, BLOCK)
    count = tl.zeros([BLOCK], tl.int32)
    first = tl.zeros([BLOCK], tl.float32)
    second = tl.zeros([BLOCK], tl.float32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        distance = tl.where(allowed, value - middle, 0.0)
        count += allowed.to(tl.int32)
        first += distance
        second += distance * distance
    total = tl.sum(count, 0).to(tl.float64)
    mean = tl.sum(first.to(tl.float64), 0) / total
    square = tl.sum(second.to(tl.float64), 0) / total
    return tl.sqrt(tl.maximum(square - mean * mean, 0.0))


@triton.jit
def _above(
    base, length, low, high, shift, scale, best, mean, metric, by_mass, pivot,
    PIVOTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """How many allowed tokens rank above each pivot, and their mass: [PIVOTS] each, float64."""
    lanes = tl.arange(0, BLOCK)
    count = tl.zeros([PIVOTS, BLOCK], tl.int32)
    mass = tl.zeros([PIVOTS, BLOCK], tl.float32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        ranked = tl.where(allowed, _metric(value, best, mean, metric), -INFINITY)
        over = ranked[None, :] > pivot[:, None]
        count += over.to(tl.int32)
        if by_mass:
            mass += tl.where(over, _mass(value, best)[None, :], 0.0)
    number = tl.sum(count, 1).to(tl.float64)
    weight = number
    if by_mass:
        weight = tl.sum(mass.to(tl.float64), 1)
    return number, weight


@triton.jit
def _collect(
    base, length, low, high, shift, scale, best, mean, metric, after, until, values, tokens,
    CAPACITY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Copies the logits and ids of the allowed tokens with `after < metric <= until`; their number.

    In the order of their ids, which `base` must have too.
    """
    lanes = tl.arange(0, BLOCK)
    count = 0
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        ranked = tl.where(allowed, _metric(value, best, mean, metric), -INFINITY)
        taken = (ranked > after) & (ranked <= until)
        number = taken.to(tl.int32)
        place = count + tl.cumsum(number, 0) - number
        tl.store(values + place, x, mask=taken & (place < CAPACITY))
        tl.store(tokens + place, at, mask=taken & (place < CAPACITY))
        count += tl.sum(number, 0)
    tl.debug_barrier()
    return count


@triton.jit
def _extent(base, length, low, high, shift, scale, best, mean, metric, least, BLOCK: tl.constexpr):
    """The least and the largest logit of the allowed tokens with `metric >= least`."""
    lanes = tl.arange(0, BLOCK)
    first = tl.full([BLOCK], INFINITY, tl.float32)
    last = tl.full([BLOCK], -INFINITY, tl.float32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        taken = allowed & (_metric(value, best, mean, metric) >= least)
        first = tl.minimum(first, tl.where(taken, x, INFINITY))
        last = tl.maximum(last, tl.where(taken, x, -INFINITY))
    return tl.min(first, 0), tl.max(last, 0)


@triton.jit
def _next_value(base, length, low, high, shift, scale, below, BLOCK: tl.constexpr):
    """The largest allowed value below `below`, and how many tokens have it."""
    lanes = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    count = tl.zeros([BLOCK], tl.int32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        x = tl.load(base + at, mask=at < length, other=-INFINITY)
        value = _value(x, shift, scale)
        taken = (x >= low) & (x <= high) & (value < below)
        value = tl.where(taken, value, -INFINITY)
        count = tl.where(value > largest, 1, count + (value == largest).to(tl.int32))
        largest = tl.maximum(largest, value)
    found = tl.max(largest, 0)
    return found, tl.sum(tl.where(largest == found, count, 0), 0)


@triton.jit
def _winner(
    base, length, low, high, shift, scale, tokens, listed, noisy, noise, BLOCK: tl.constexpr
):
    """The place in `base` of the largest value, plus Gumbel noise of its id if `noisy`.

    Of equal ones the first.
    """
    lanes = tl.arange(0, BLOCK)
    best = tl.full((), -INFINITY, tl.float64)
    winner = tl.full((), 0, tl.int32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        inside = at < length
        x = tl.load(base + at, mask=inside, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        score = value.to(tl.float64)
        if noisy:
            token = at
            if listed:
                token = tl.load(tokens + at, mask=inside, other=0)
            score += gumbel(noise, token.to(tl.int64))
        score = tl.where(allowed, score, -INFINITY)
        largest = tl.max(score, 0)
        if largest > best:
            best = largest
            winner = tl.min(tl.where(score == largest, at, length), 0)
    return winner


@triton.jit
def _rewrite(
    base, length, low, high, shift, scale, kind, one, two, three, tokens, listed, protected,
    protected_width, newline, newlines, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes values in place of the logits, and -inf in place of removed ones; the largest."""
    lanes = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        inside = at < length
        x = tl.load(base + at, mask=inside, other=-INFINITY)
        value = _value(x, shift, scale)
        allowed = (x >= low) & (x <= high) & (value > -INFINITY)
        if kind == SMOOTHED:  # by `one`, with the curve `two`, below the largest value `three`
            distance = tl.maximum(value - three, -FLOAT_MAX)
            bent = distance * ((two - 1.0) / 2.0) - (3.0 - two) / 2.0
            value = tl.minimum(bent * distance * one * distance + three, FLOAT_MAX)
        elif kind == LESS:
            value = value - one - two
        elif kind == ADAPTED:  # towards the probability `one`
            distance = tl.exp(tl.maximum(value - two, NO_MASS))
            distance = tl.div_rn(tl.abs(distance - one), tl.full((), WIDTH, tl.float32))
            value = tl.div_rn(distance * SHARPNESS * distance, distance + 1.0) + PEAK
        elif kind == UNPROTECTED:  # above `one` only the protected tokens stay
            token = at
            if listed:
                token = tl.load(tokens + at, mask=inside, other=0)
            stays = value <= one
            if newlines:
                stays = stays | (tl.load(newline + token, mask=inside, other=0) != 0)
            for entry in range(protected_width):
                stays = stays | (token == tl.load(protected + entry))
            allowed = allowed & stays
        value = tl.where(allowed, value, -INFINITY)
        largest = tl.maximum(largest, value)
        tl.store(base + at, value, mask=inside)
    tl.debug_barrier()
    return tl.max(largest, 0)


@triton.jit
def _emit(
    target, base, length, vocabulary, low, high, shift, scale, tokens, listed, BLOCK: tl.constexpr
):
    """Writes the row's values, and -inf for removed tokens, to `target`."""
    lanes = tl.arange(0, BLOCK)
    if listed:
        for start in range(0, vocabulary, BLOCK):
            at = start + lanes
            nothing = tl.full([BLOCK], -INFINITY, tl.float32)
            tl.store(target + at, nothing, mask=at < vocabulary)
        tl.debug_barrier()
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        at = start + lanes
        inside = at < length
        x = tl.load(base + at, mask=inside, other=-INFINITY)
        value = tl.where((x >= low) & (x <= high), _value(x, shift, scale), -INFINITY)
        token = at
        if listed:
            token = tl.load(tokens + at, mask=inside, other=0)
        tl.store(target + token, value, mask=inside)
    tl.debug_barrier()


# Compiled once for a vocabulary: other numbers and the addresses of small tensors don't matter.
@triton.jit(
    do_not_specialize=["token_stride", "protected_width", "newlines"],
    do_not_specialize_on_alignment=[
        "places",
        "number_rows",
        "entries",
        "mirostat_source",
        "adaptive_source",
        "tokens",
        "prompt_ends",
        "ends",
        "protected",
        "newline",
    ],
)
def run_chain(
    logits,
    stride,
    vocabulary,
    places,
    programs,
    numbers,
    number_rows,
    seeds,
    entries,
    tokens,
    token_stride,
    prompt_ends,
    ends,
    mirostat_value,
    mirostat_logits,
    mirostat_normaliser,
    mirostat_generated,
    mirostat_source,
    adaptive_value,
    adaptive_logits,
    adaptive_normaliser,
    adaptive_generated,
    adaptive_source,
    protected,
    protected_width,
    newline,
    newlines,
    list_values,
    list_tokens,
    PIVOTS: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Runs the chain of each row on float32 logits, in place; one program a row."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row)
    program = programs + place * STEPS
    step = 0
    op = tl.load(program)
    while op >= ON_SOME:  # what `run_biases` has done
        step += 1
        op = tl.load(program + step)
    if op == END:
        return
    target = logits + row * stride
    top, bottom, wrong, middle = _extremes(target, vocabulary, BLOCK)
    if (wrong != 0) | (top == INFINITY) | (top == -INFINITY):
        return
    number = numbers + tl.load(number_rows + row) * NUMBERS
    list_values += row * CAPACITY
    list_tokens += row * CAPACITY
    protected += place * protected_width
    base = target
    length = vocabulary
    listed = tl.full((), 0, tl.int32)
    low = tl.full((), -FLOAT_MAX, tl.float32)
    high = tl.full((), INFINITY, tl.float32)
    shift = tl.full((), 0.0, tl.float32)
    scale = tl.full((), 1.0, tl.float32)
    summed = tl.full((), 0, tl.int32)
    changed = tl.full((), 0, tl.int32)
    count = tl.full((), 0, tl.int32)
    total = tl.full((), 1.0, tl.float64)
    rest = tl.full((), 0.0, tl.float64)
    weighted = tl.full((), 0.0, tl.float64)
    squares = tl.full((), 1.0, tl.float64)
    # what the first operation of a stage leaves to the next
    level = tl.full((), 0.0, tl.float64)
    wanted = tl.full((), 1.0, tl.float64)
    normaliser = tl.full((), 0.0, tl.float32)
    going = tl.full((), 1, tl.int32)
    while going != 0:
        best = _value(top, shift, scale)

        # The first round of top-p's search finds the total.
        if (op > TOP_P) & (summed == 0):
            count, equal, rest, weighted, squares = _sums(
                base, length, low, high, shift, scale, best, BLOCK
            )
            total = equal + rest
            rest = equal - 1.0 + rest
            squares = equal + squares
            summed += 1
            if (listed == 0) & (length > CAPACITY) & (count <= CAPACITY):
                length = _collect(
                    base, length, low, high, shift, scale, best, best, BY_VALUE,
                    best * 0.0 - INFINITY, best, list_values, list_tokens, CAPACITY, BLOCK,
                )  # fmt: skip
                base = list_values
                listed += 1

        # What the operation asks for: a bound for the values, ...
        bound = best * 0.0 - INFINITY
        # ... a search for one: the tokens stay above which there is less than `goal`, ...
        searching = tl.full((), 0, tl.int32)
        metric = tl.full((), BY_VALUE, tl.int32)
        by_mass = tl.full((), 0, tl.int32)
        goal = tl.full((), 0.0, tl.float64)
        share_kept = tl.full((), 1.0, tl.float32)
        mean = (weighted / total).to(tl.float32)
        # ... values that are written, ...
        kind = tl.full((), -1, tl.int32)
        one = tl.full((), 0.0, tl.float32)
        two = tl.full((), 0.0, tl.float32)
        # ... a division, ...
        divisor = tl.full((), 1.0, tl.float32)
        # ... a single token, or the state of the next step.
        single = tl.full((), 0, tl.int32)
        noisy = tl.full((), 0, tl.int32)
        stores = tl.full((), 0, tl.int32)
        noise = tl.full((), 0, tl.int64)

        if op == TEMPERATURE:
            divisor = tl.load(number + N_TEMPERATURE).to(tl.float32)
            if divisor == 0.0:
                single += 1
                divisor += 1.0
        elif op == TOP_K:
            goal = tl.load(number + N_TOP_K)
            searching += (goal < vocabulary).to(tl.int32)
        elif op == MIN_P:
            bound = _likely(best, tl.log(tl.load(number + N_MIN_P)))
        elif op == TOP_N_SIGMA:
            sigmas = tl.load(number + N_TOP_N_SIGMA)
            if sigmas > 0.0:
                among = tl.minimum(tl.maximum(middle, low), top)
                among = _value(among, shift, scale)
                sigma = _deviation(base, length, low, high, shift, scale, among, BLOCK)
                bound = _likely(best, -sigmas * sigma)
        elif op == TOP_H_MOST:
            goal += TOP
            searching += (tl.load(number + N_TOP_H) > 0.0).to(tl.int32)
        elif op == SMOOTHING:
            one = tl.load(number + N_SMOOTHING_FACTOR).to(tl.float32)
            two = tl.load(number + N_SMOOTHING_CURVE).to(tl.float32)
            if one > 0.0:
                kind = tl.full((), SMOOTHED, tl.int32)
        elif op == REPRODUCIBLE:
            single += 1
            noisy += 1
        elif op == MIROSTAT_1_CUT:
            goal = wanted
            searching += (goal < vocabulary).to(tl.int32)
        elif op == TOP_P:
            share_kept = tl.load(number + N_TOP_P).to(tl.float32)
            goal = (share_kept * total.to(tl.float32)).to(tl.float64)
            by_mass += 1
            searching += (share_kept < 1.0).to(tl.int32)
        elif op == TYPICAL_P:
            t = tl.load(number + N_TYPICAL_P).to(tl.float32)
            goal = (t * total.to(tl.float32)).to(tl.float64)
            by_mass += 1
            metric = tl.full((), BY_NEARNESS, tl.int32)
            searching += (t < 1.0).to(tl.int32)
        elif op == EPSILON:
            bound = _likely(best, tl.log(tl.load(number + N_EPSILON)) + tl.log(total))
        elif op == ETA:
            least = tl.log(tl.load(number + N_ETA))
            nats = _log1p(rest) - weighted / (1.0 + rest)
            bound = _likely(best, tl.minimum(least, least / 2.0 - nats) + tl.log(total))
        elif op == TOP_A:
            bound = _likely(best, tl.log(tl.load(number + N_TOP_A)) - tl.log(total))
        elif op == P_LESS:
            bound = _likely(best, tl.log(squares) - tl.log(total))
        elif op == DYNAMIC_TEMPERATURE:
            t_low = tl.load(number + N_DYNATEMP_LOW)
            t_high = tl.load(number + N_DYNATEMP_HIGH)
            nats = _log1p(rest) - weighted / (1.0 + rest)
            share = tl.minimum(tl.maximum(nats / tl.log(count.to(tl.float64)), 0.0), 1.0)
            bent = tl.exp(tl.log(share) * tl.load(number + N_DYNATEMP_EXPONENT))
            t = tl.maximum((t_low * (1.0 - bent) + t_high * bent).to(tl.float32), TINY)
            if (t_low != t_high) & (count > 1) & (t < INFINITY):
                divisor = t
        elif op == XTC:
            noise = noise_key(
                tl.load(seeds + place), tl.load(ends + row) - tl.load(prompt_ends + row), XTC_DRAW
            )
            if uniform(noise) < tl.load(number + N_XTC_PROBABILITY):
                threshold = (tl.load(number + N_XTC_THRESHOLD) * total).to(tl.float32)
                least, most = _extent(
                    base, length, low, high, shift, scale, best, mean, BY_MASS, threshold, BLOCK
                )
                one = _value(least, shift, scale)
                if (least < INFINITY) & (one < best):
                    structure = tl.load(number + N_XTC_STRUCTURE) != 0.0
                    if (protected_width > 0) | ((newlines != 0) & structure):
                        kind = tl.full((), UNPROTECTED, tl.int32)
                    else:
                        after = key(_least_logit(next_up(one), shift, scale))
                        high = from_key(after - 1)
                        top = high
                        best = one
                        summed = tl.full((), 0, tl.int32)
                        changed += 1
        elif (op == MIROSTAT_1) | (op == MIROSTAT_2):
            entry = tl.load(mirostat_source + row)
            level, surprise, followed = _drawn(
                mirostat_value, mirostat_logits, mirostat_normaliser, mirostat_generated,
                entry, row, vocabulary, tokens, token_stride, prompt_ends, ends,
            )  # fmt: skip
            tau = tl.load(number + N_TAU)
            if level != level:
                level = 2.0 * tau
            if followed:
                rate = tl.load(number + N_ETA_RATE)
                level = level - rate * (-surprise.to(tl.float64) / LN_2 - tau)
            if op == MIROSTAT_2:
                bound = _likely(best, tl.log(total) - level * LN_2)
            else:
                goal += TOP
                searching += 1
        elif op == MIROSTAT_STORE:
            stores += 1
        elif op == ADAPTIVE_STORE:
            entry = tl.load(adaptive_source + row)
            level, surprise, followed = _drawn(
                adaptive_value, adaptive_logits, adaptive_normaliser, adaptive_generated,
                entry, row, vocabulary, tokens, token_stride, prompt_ends, ends,
            )  # fmt: skip
            target_share = tl.load(number + N_TARGET)
            if level != level:
                level = target_share
            if followed:
                decay = tl.load(number + N_DECAY)
                level = decay * level + (1.0 - decay) * tl.exp(surprise.to(tl.float64))
            stores += 1
        elif op == ADAPTIVE:
            aim = 2.0 * tl.load(number + N_TARGET) - level
            one = tl.minimum(tl.maximum(aim, 0.0), 1.0).to(tl.float32)
            two = normaliser
            kind = tl.full((), ADAPTED, tl.int32)
        elif op == RENORMALIZE:
            one = best
            two = tl.log(total).to(tl.float32)
            kind = tl.full((), LESS, tl.int32)

        # The threshold lies in (after, until], as keys; the counts of tokens above both are known.
        search_base = base
        search_length = length
        after = tl.maximum(key(_value(low, shift, scale)) - 1, KEY_OF_LEAST).to(tl.int64)
        until = key(best).to(tl.int64)
        if searching != 0:
            far = bottom
            if metric == BY_NEARNESS:
                after = after * 0 + KEY_OF_LEAST
                until = until * 0
                far = -tl.maximum(-mean, mean - (_value(bottom, shift, scale) - best))
            else:
                far = _value(bottom, shift, scale)
            more = length.to(tl.float64)
            fewer = tl.full((), 0.0, tl.float64)
            heavier = tl.full((), 0.0, tl.float64)
            known_number = tl.full((), 0.0, tl.float64)
            known_weight = tl.full((), 0.0, tl.float64)
            whole = ((listed == 0) & (length > CAPACITY)).to(tl.int32)
            round = 0
            while (until - after > 1) & (more - fewer > 1.0):
                rank = tl.arange(0, PIVOTS)
                if round < LINEAR:
                    highest = from_key(until.to(tl.int32))
                    lowest = from_key(after.to(tl.int32))
                    lowest = tl.maximum(tl.maximum(lowest, far), highest - SPAN)
                    fraction = (rank + 1).to(tl.float32) / PIVOTS
                    at = key(highest - (highest - lowest) * fraction).to(tl.int64)
                else:
                    at = after + (until - after) * (rank + 1).to(tl.int64) // (PIVOTS + 1)
                at = tl.minimum(tl.maximum(at, after + 1), until - 1)
                if round == 0:  # the last pivot is below all tokens
                    at = tl.where(rank == PIVOTS - 1, after, at)
                n, w = _above(
                    search_base, search_length, low, high, shift, scale, best, mean, metric,
                    by_mass, from_key(at.to(tl.int32)), PIVOTS, BLOCK,
                )  # fmt: skip
                n += known_number
                w += known_weight
                if (op == TOP_P) & (round == 0) & (summed == 0):
                    total = tl.max(w, 0)
                    goal = (share_kept * total.to(tl.float32)).to(tl.float64)
                stays = w < goal
                heavier = tl.maximum(heavier, tl.max(tl.where(stays, w, heavier), 0))
                fewer = tl.maximum(fewer, tl.max(tl.where(stays, n, fewer), 0))
                more = tl.minimum(more, tl.min(tl.where(stays, more, n), 0))
                last = tl.min(tl.where(stays, at, until), 0)
                after = tl.max(tl.where(stays, after, at), 0)
                until = last
                round += 1
                if whole != 0:
                    # Few enough are left for a list: of all that can stay, or of those between
                    # the bounds of the search.
                    all_left = more <= CAPACITY
                    if all_left | (more - fewer <= CAPACITY):
                        whole = whole * 0
                        ceiling = best * 0.0 + INFINITY
                        if more > CAPACITY:
                            ceiling = from_key(until.to(tl.int32))
                            known_number = fewer
                            known_weight = heavier
                        search_length = _collect(
                            base, length, low, high, shift, scale, best, mean, metric,
                            from_key(after.to(tl.int32)), ceiling, list_values, list_tokens,
                            CAPACITY, BLOCK,
                        )  # fmt: skip
                        search_base = list_values
                        if all_left & (op != MIROSTAT_1):
                            base = search_base
                            length = search_length
                            listed += 1
            found = from_key((after + 1).to(tl.int32))
            if metric == BY_NEARNESS:
                least, most = _extent(
                    base, length, low, high, shift, scale, best, mean, BY_NEARNESS, found, BLOCK
                )
                low = least
                high = most
                top = most
                summed = tl.full((), 0, tl.int32)
                changed += 1
            elif op != MIROSTAT_1:
                bound = found

        if (op == TOP_H) | (op == MIROSTAT_1):
            share = tl.load(number + N_TOP_H)
            if (op == MIROSTAT_1) | (share > 0.0):
                # of the largest values, one after another
                previous = best
                seen = tl.full((), 0, tl.int32)
                above = best * 0.0 + INFINITY
                most = tl.minimum(count, TOP)
                running = tl.full((), 0.0, tl.float64)
                entropy = tl.full((), 0.0, tl.float64)
                mass = total
                if op == TOP_H:
                    least, _most = _extent(
                        base, length, low, high, shift, scale, best, mean, BY_VALUE,
                        best * 0.0 - FLOAT_MAX, BLOCK,
                    )  # fmt: skip
                    last_value = _value(least, shift, scale)
                    tied = (count - most).to(tl.float64)
                    last_mass = _mass(last_value, best).to(tl.float64)
                    mass = total - tied * last_mass
                    distance = (last_value - best).to(tl.float64)
                    entropy = tl.log(mass) - (weighted - tied * last_mass * distance) / mass
                    if share >= 1.0:
                        most = tl.full((), 0, tl.int32)
                while seen < most:
                    value, same = _next_value(
                        search_base, search_length, low, high, shift, scale, above, BLOCK
                    )
                    above = value
                    if op == TOP_H:
                        distance = (value - best).to(tl.float64)
                        p = tl.exp(distance) / mass
                        # what a token adds to the entropy
                        part = p * (tl.log(mass) - distance)
                        if (seen == 0) | (running + part <= share * entropy):
                            bound = value
                        else:
                            seen = most
                        running += part * same
                    elif seen > 0:
                        number_above = seen.to(tl.float64)
                        ratio = tl.log((number_above + 1.0) / number_above)
                        running += ratio * (previous - value).to(tl.float64)
                    previous = value
                    seen += same
                if op == MIROSTAT_1:
                    wanted = _estimated(running, tl.minimum(count, TOP), level, vocabulary)

        if bound > -INFINITY:
            low = tl.maximum(low, tl.minimum(_least_logit(bound, shift, scale), top))
            summed = tl.full((), 0, tl.int32)
            changed += 1

        if (divisor != 1.0) & ((scale != 1.0) | (shift != 0.0)):
            kind = tl.full((), SAME, tl.int32)
        if kind >= 0:
            width = protected_width
            top = _rewrite(
                base, length, low, high, shift, scale, kind, one, two, best, list_tokens, listed,
                protected, width, newline,
                newlines * (tl.load(number + N_XTC_STRUCTURE) != 0.0).to(tl.int32), BLOCK,
            )  # fmt: skip
            low = tl.full((), -FLOAT_MAX, tl.float32)
            high = tl.full((), INFINITY, tl.float32)
            shift = tl.full((), 0.0, tl.float32)
            scale = tl.full((), 1.0, tl.float32)
            bottom = top - SPAN
            middle = top
            summed = tl.full((), 0, tl.int32)
            changed = listed

        if divisor != 1.0:
            if divisor < SHIFTED_BELOW:
                shift = top
            scale = divisor
            summed = tl.full((), 0, tl.int32)
            changed += 1

        if single != 0:
            if noisy != 0:
                noise = noise_key(
                    tl.load(seeds + place), tl.load(ends + row) - tl.load(prompt_ends + row), 2
                )
            winner = _winner(
                base, length, low, high, shift, scale, list_tokens, listed, noisy != 0, noise, BLOCK
            )
            top = tl.load(base + winner)
            token = winner
            if listed != 0:
                token = tl.load(list_tokens + winner)
            tl.debug_barrier()
            tl.store(list_values, top)
            tl.store(list_tokens, token)
            tl.debug_barrier()
            base = list_values
            length = length * 0 + 1
            listed = tl.full((), 1, tl.int32)
            summed = tl.full((), 0, tl.int32)
            changed += 1

        writes = (op == END) & (changed + listed != 0)
        destination = target
        if stores != 0:
            entry = tl.load(entries + row)
            generated = tl.load(ends + row) - tl.load(prompt_ends + row)
            normaliser = (best.to(tl.float64) + tl.log(total)).to(tl.float32)
            if op == MIROSTAT_STORE:
                destination = mirostat_logits + entry * vocabulary
                if generated >= tl.load(mirostat_generated + entry):
                    writes = writes | (stores != 0)
                    tl.store(mirostat_value + entry, level)
                    tl.store(mirostat_normaliser + entry, normaliser)
                    tl.store(mirostat_generated + entry, generated)
            else:
                destination = adaptive_logits + entry * vocabulary
                if generated >= tl.load(adaptive_generated + entry):
                    writes = writes | (stores != 0)
                    tl.store(adaptive_value + entry, level)
                    tl.store(adaptive_normaliser + entry, normaliser)
                    tl.store(adaptive_generated + entry, generated)
        if writes:
            _emit(
                destination, base, length, vocabulary, low, high, shift, scale, list_tokens,
                listed != 0, BLOCK,
            )  # fmt: skip

        if op == END:
            going = tl.full((), 0, tl.int32)
        else:
            step += 1
            op = tl.load(program + step)


@triton.jit
def _log1p(x):
    return tl.where(x < 1e-8, x - x * x / 2.0, tl.log(1.0 + x))


@triton.jit
def _drawn(
    values, logits, normalisers, counts, entry, row, vocabulary, tokens, token_stride, prompt_ends,
    ends,
):  # fmt: skip
    """The number, the drawn token's log-probability, and if one was drawn (`State.drawn`)."""
    end = tl.load(ends + row)
    generated = end - tl.load(prompt_ends + row)
    value = tl.load(values + entry)
    last = tl.load(tokens + row * token_stride + tl.maximum(end - 1, 0))
    followed = (generated == tl.load(counts + entry) + 1) & (generated > 0)
    followed = followed & (last >= 0) & (last < vocabulary)
    logit = tl.load(logits + entry * vocabulary + tl.where(followed, last, 0))
    surprise = logit - tl.load(normalisers + entry)
    followed = followed & (tl.abs(surprise) < INFINITY)
    return value, surprise, followed


@triton.jit
def _estimated(products, most, level, vocabulary):
    """How many tokens version 1 of mirostat keeps, float64, for the sum of products of `most`."""
    rank = tl.arange(0, 128).to(tl.float64)
    ratio = tl.log((rank + 1.0) / tl.maximum(rank, 1.0))
    squares = tl.sum(tl.where((rank >= 1.0) & (rank < most), ratio * ratio, 0.0), 0)
    exponent = tl.where(squares > 0.0, products / tl.maximum(squares, 1e-300), 1.0)
    exponent = tl.maximum(exponent, 1e-3)
    epsilon = exponent - 1.0
    size = tl.log(tl.maximum(vocabulary, 2).to(tl.float64))
    near = tl.abs(epsilon) < 1e-9
    some = tl.where(near, 1.0, epsilon)
    share = tl.where(near, 1.0 / size, some / (1.0 - tl.exp(-some * size)))
    count = tl.exp((tl.log(share) + level * LN_2) / exponent)
    count = tl.where(count == count, count, 1.0)
    return tl.floor(tl.minimum(tl.maximum(count, 1.0), vocabulary.to(tl.float64)))
