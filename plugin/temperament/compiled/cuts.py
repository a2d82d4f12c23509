"""The functions that numba compiles for a row: its sums, and where top-p and typical-p cut.

They compare, add and multiply as the ops do, in IEEE arithmetic and in the same order, so that the
bits are the same on every processor. Where the order of float64 additions is another than the ops',
a bound of the difference is added and taken away, and a row for which that matters is left to the
ops. Importing this file compiles them.

Loops are short and of one kind, so that the compiler makes vectors of them.
"""

import numpy as np
from numba.types import boolean, float32, float64, int32, int64

from temperament.compiled import constants
from temperament.compiled.constants import PIECE
from temperament.compiled.numbers import (
    HIGHEST,
    LOWEST,
    NO_MASS,
    REMOVED,
    add_halves,
    compiled,
    exponential,
    ordered,
    part_of_compiled,
)

LEAST_MASS = np.float32(constants.LEAST_MASS)
ROUNDING = 2.0**-51  # twice that of a float64 addition, and twice again for two sums
BUCKETS = 4096  # of a row's first histogram
IGNORED = 64  # buckets for tokens that don't matter, taken in turn: one alone would be slow
FEW = 32  # tokens that are sorted
FINER = 256  # buckets of further histograms
STRETCH = 256  # columns that are looked at together

# which terms are summed: the places in `ops.sums.COMPILED`
MASS, SQUARES, DISTANCES, SMALLER = range(4)

# what is known of a sum and its goal
BELOW, REACHED, UNKNOWN = range(3)


@part_of_compiled
def _largest(bits):
    """Returns a row's maximum, NaN if it has NaN; `bits` are those of its float32 numbers."""
    low, high = np.int32(2147483647), np.int32(-2147483648)
    for column in range(len(bits)):
        value = ordered(bits[column])
        low = min(low, value)
        high = max(high, value)
    if low < LOWEST or high > HIGHEST:
        return np.float32(np.nan)
    return np.int32(ordered(high)).view(np.float32)


@part_of_compiled
def _distance(logit, maximum):
    """Returns x - max, at least `NO_MASS`."""
    value = np.float32(logit - maximum)
    return NO_MASS if value < NO_MASS else value


@part_of_compiled
def _smaller(distance, mass):
    """Returns the mass of a token below the largest, 0 for one without mass."""
    return np.float32((mass - LEAST_MASS) * (np.float32(1) if distance < 0 else np.float32(0)))


@part_of_compiled
def _set_terms(kind, logits, mass, maximum, work):
    """Sets `work` to the numbers of the terms, [terms, columns], for a piece."""
    if kind == MASS:
        for place in range(len(mass)):
            work[0, place] = mass[place]
    elif kind == SQUARES:
        for place in range(len(mass)):
            work[0, place] = mass[place]
            work[1, place] = mass[place] * mass[place]
    elif kind == DISTANCES:
        for place in range(len(mass)):
            work[0, place] = mass[place]
            work[1, place] = mass[place] * _distance(logits[place], maximum)
    else:
        for place in range(len(mass)):
            distance = _distance(logits[place], maximum)
            smaller = _smaller(distance, mass[place])
            work[0, place] = smaller
            work[1, place] = smaller * distance


@part_of_compiled
def _count(logits, maximum):
    """Returns how many tokens have the largest logit."""
    count = np.int32(0)
    for column in range(len(logits)):
        count += np.int32(1) if logits[column] - maximum == 0 else np.int32(0)
    return count


@part_of_compiled
def _sum(kind, bits, logits, mass, work, parts, total):
    """Sums the terms over a row into `total`, and sets its masses; returns its maximum.

    `bits` and `logits` are the same memory. `work` is memory for the terms of a piece, and `parts`
    for their sums.
    """
    maximum, columns, terms = _largest(bits), len(logits), len(total)
    for begin in range(0, columns, PIECE):
        end = min(begin + PIECE, columns)
        for column in range(begin, end):
            mass[column] = exponential(_distance(logits[column], maximum))
        _set_terms(kind, logits[begin:end], mass[begin:end], maximum, work)
        for term in range(len(parts)):
            parts[term, begin // PIECE] = add_halves(work[term], end - begin)
    first = terms - len(parts)
    if first:
        total[0] = _count(logits, maximum)
    for term in range(len(parts)):
        total[first + term] = add_halves(parts[term], parts.shape[1])
    return maximum


@compiled(
    int64,
    int32[:, ::1],
    float32[:, ::1],
    int64,
    int64,
    float32[::1],
    float32[:, ::1],
    float64[:, ::1],
    float32[::1],
    float64[:, ::1],
)
def sum_rows(kind, bits, logits, first, last, mass, work, parts, maximum, totals):
    """Sums the terms over the rows [first, last) into totals[row, term], and sets their maximum."""
    for row in range(first, last):
        maximum[row] = _sum(kind, bits[row], logits[row], mass, work, parts, totals[row])


@part_of_compiled
def _compare(running, margin, goal):
    """Returns whether a sum, rounded to float32, reaches the goal."""
    if np.float32(running - margin) >= goal:
        return REACHED
    return BELOW if np.float32(running + margin) < goal else UNKNOWN


@part_of_compiled
def _crossing_bucket(found, running, margin, goal):
    """Returns (the bucket in which the sum of `found` reaches the goal, the sum before it).

    The sum begins with `running`. The bucket is -1 if that isn't certain.
    """
    for bucket in range(len(found)):
        state = _compare(running + found[bucket], margin, goal)
        if state == REACHED:
            return bucket, running
        if state == UNKNOWN:
            break
        running += found[bucket]
    return -1, running


@part_of_compiled
def _crossing_key(keys, masses, size, running, margin, goal):
    """Sorts keys[:size], descending; returns (the key that reaches the goal, whether certain)."""
    for end in range(1, size):
        key, mass, place = keys[end], masses[end], end
        while place > 0 and keys[place - 1] < key:
            keys[place], masses[place] = keys[place - 1], masses[place - 1]
            place -= 1
        keys[place], masses[place] = key, mass
    for place in range(size):
        running += masses[place]
        state = _compare(running, margin, goal)
        if state != BELOW:
            return keys[place], state == REACHED
    return keys[0], False


@part_of_compiled
def _crossing(keys, masses, size, running, margin, goal, found):
    """Finds the key in keys[:size] at which the sum of masses, from the largest key on, reaches it.

    The sum begins with `running`, which is below the goal; with the masses of all these keys it is
    reached. `found` is memory for a histogram. Changes the keys and masses. Returns (the key,
    whether that is certain).
    """
    while size > FEW:
        low, high = keys[0], keys[0]
        for place in range(size):
            low = min(low, keys[place])
            high = max(high, keys[place])
        if low == high:
            return low, True
        shift = 0
        while (high - low) >> shift >= FINER:
            shift += 1
        found[:FINER] = 0.0
        for place in range(size):
            found[(high - keys[place]) >> shift] += masses[place]
        edge, running = _crossing_bucket(found[:FINER], running, margin, goal)
        if edge < 0:
            return low, False
        kept = 0
        for place in range(size):
            if (high - keys[place]) >> shift == edge:
                keys[kept], masses[kept] = keys[place], masses[place]
                kept += 1
        size = kept
    return _crossing_key(keys, masses, size, running, margin, goal)


@part_of_compiled
def _find_buckets(logits, begin, end, maximum, middle, scale, buckets):
    """Sets the buckets of the columns [begin, end); they rise with the distance from the middle.

    A loop of its own, so that the compiler makes vectors of it.
    """
    for column in range(begin, end):
        scaled = abs(logits[column] - maximum - middle) * scale
        bucket = np.int32(scaled if scaled < BUCKETS else np.float32(BUCKETS))
        ignored = np.int32(BUCKETS + (column & (IGNORED - 1)))
        buckets[column - begin] = bucket if bucket < BUCKETS else ignored


@part_of_compiled
def _take(logits, bits, mass, maximum, middle, by_logit, scale, edge, buckets, keys, near):
    """Sets the keys and masses of the tokens in the bucket `edge`; returns how many they are."""
    size, columns = 0, len(logits)
    for begin in range(0, columns, STRETCH):
        end, inside = min(begin + STRETCH, columns), np.int32(0)
        _find_buckets(logits, begin, end, maximum, middle, scale, buckets)
        for place in range(end - begin):
            inside += np.int32(1) if buckets[place] == edge else np.int32(0)
        if inside:
            for column in range(begin, end):
                if buckets[column - begin] == edge:
                    farness = np.int64(
                        np.float32(abs(logits[column] - maximum - middle)).view(np.int32)
                    )
                    keys[size] = np.int64(ordered(bits[column])) if by_logit else -farness
                    near[size] = mass[column]
                    size += 1
    return size


@part_of_compiled
def _keep(bits, logits, mass, maximum, middle, by_logit, goal, total, radius, memory):
    """Removes all but the tokens nearest to the middle that have a mass of `goal` together.

    `bits` and `logits` are the same memory, a row, and `mass` has its masses, `total` their sum.
    How near a token is, is |(x - max) - middle|; `by_logit` the middle is 0, and of tokens at the
    same distance the larger logit comes first. Tokens tied with the last stay. `radius` is where
    the last is expected at most. Returns whether that could be decided; otherwise the row is as it
    was.
    """
    found, buckets, keys, near = memory
    columns = len(logits)
    margin = columns * ROUNDING * total
    scale = np.float32(BUCKETS / radius)
    found[:] = 0.0
    for begin in range(0, columns, STRETCH):
        end = min(begin + STRETCH, columns)
        _find_buckets(logits, begin, end, maximum, middle, scale, buckets)
        for column in range(begin, end):
            # unsigned, since a number below 0 would count from the end, and be looked for
            found[np.uint32(buckets[column - begin])] += mass[column]
    edge, running = _crossing_bucket(found[:BUCKETS], 0.0, margin, goal)
    if edge < 0:
        return False
    size = _take(logits, bits, mass, maximum, middle, by_logit, scale, edge, buckets, keys, near)
    key, certain = _crossing(keys, near, size, running, margin, goal, found)
    if certain and by_logit:
        least = np.int32(ordered(np.int32(key))).view(np.float32)
        for column in range(columns):
            logits[column] = REMOVED if logits[column] < least else logits[column]
    elif certain:
        most = np.int32(-key).view(np.float32)
        for column in range(columns):
            far = abs(logits[column] - maximum - middle) > most
            logits[column] = REMOVED if far else logits[column]
    return certain


@compiled(
    boolean,
    int32[:, ::1],
    float32[:, ::1],
    int64,
    int64,
    float32[::1],
    float32[::1],
    float32[::1],
    float32[:, ::1],
    float64[:, ::1],
    float64[::1],
    int32[::1],
    int64[::1],
    float32[::1],
    boolean[::1],
)
def keep_nearest(
    around_mean,
    bits,
    logits,
    first,
    last,
    temperature,
    share,
    mass,
    work,
    parts,
    found,
    buckets,
    keys,
    near,
    decided,
):
    """Keeps the likeliest tokens, or those nearest to the mean, that have a share of the mass.

    Of the rows [first, last), which are first divided by their temperature. From a row with a share
    of 1 nothing is removed, nor from one that isn't `decided`: one with NaN or infinity, or in
    which rounding decides.
    """
    total = np.empty(2 if around_mean else 1)
    memory = (found, buckets, keys, near)
    for row in range(first, last):
        if temperature[row] != 1:
            divided = logits[row]
            for column in range(len(divided)):
                divided[column] /= temperature[row]
        decided[row] = share[row] >= 1
        if decided[row]:
            continue
        kind = DISTANCES if around_mean else MASS
        maximum = _sum(kind, bits[row], logits[row], mass, work, parts, total)
        middle = np.float32(total[1] / total[0] if around_mean else 0.0)
        if not (np.isfinite(maximum) and np.isfinite(total[0]) and np.isfinite(middle)):
            continue
        # What is less likely than this has less mass together than what isn't kept.
        least = np.log(max((1.0 - share[row]) * total[0] / len(mass), 1e-37))
        radius = max(-middle, middle - least, 1e-3)
        goal = np.float32(share[row] * np.float32(total[0]))
        decided[row] = _keep(
            bits[row],
            logits[row],
            mass,
            maximum,
            middle,
            not around_mean,
            goal,
            total[0],
            radius,
            memory,
        )
