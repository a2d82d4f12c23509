"""The functions that numba compiles for what needs a row's order: skew and tail-free sampling.

A token and its logit are sorted as one integer, eleven bits at a time. What is computed has the
bits of the ops (see `compiled.cuts`). Importing this file compiles them.
"""

import numpy as np
from numba.types import float32, float64, int32, int64, uint64

from temperament.compiled import constants
from temperament.compiled.constants import BIAS, ROOT_HALF_BITS, ROUNDS_64, SMALL, STRAIGHT, TINY
from temperament.compiled.numbers import (
    C2,
    C3,
    C4,
    C5,
    C6,
    EXPONENT,
    HIGHEST,
    LN_2_HIGH,
    LN_2_LOW,
    LOWEST,
    NO_MASS,
    PER_LN_2,
    REMOVED,
    ROUNDS,
    compiled,
    exponential,
    ordered,
    part_of_compiled,
)

DIGIT_BITS = 11
DIGITS = 2**DIGIT_BITS
STRETCH = 256  # tokens that are looked at together
BUCKETS = 1024  # by which the likeliest tokens are found
FARTHEST = np.float32(37.5)  # the distance from the largest that the buckets cover, at most
FIRST = 4096  # tokens that tfs looks at first
SAMPLED = 16  # one in so many stretches is counted to find them

NOTHING = np.float32(constants.NOTHING)
L4, L3, L2, L1 = (np.float32(number) for number in constants.LOGARITHM)
EXPONENT_64 = np.int64(constants.EXPONENT_64)
PER_LN_2_64 = constants.PER_LN_2_64
LN_2_HIGH_64, LN_2_LOW_64 = constants.LN_2_HIGH_64, constants.LN_2_LOW_64
SERIES_64, NO_MASS_64 = constants.COEFFICIENTS_64, constants.NO_MASS_64
ONE, TWO = np.float32(1), np.float32(2)


@part_of_compiled
def logarithm(number, above_one):
    """Returns what `ops.logarithm.logarithm` returns."""
    power = (np.float32(number).view(np.int32) - np.int32(ROOT_HALF_BITS)) >> EXPONENT
    scale = np.int32((np.int32(BIAS) - power) << EXPONENT).view(np.float32)
    rest = np.float32(above_one if power == 0 else number * scale - ONE)
    ratio = np.float32(rest / (rest + TWO))
    square = ratio * ratio
    series = (((square * L4 + L3) * square + L2) * square + L1) * square
    twice = ratio + ratio
    whole = np.float32(power)
    return np.float32(((series * twice + twice) + whole * LN_2_LOW) + whole * LN_2_HIGH)


@part_of_compiled
def rest_of_one(power):
    """Returns what `ops.exponential.rest_of_one` returns."""
    power = NO_MASS if power < NO_MASS else power
    rounded = np.float32(power * PER_LN_2 + ROUNDS)
    whole = rounded - ROUNDS
    rest = (power - whole * LN_2_HIGH) - whole * LN_2_LOW
    grown = ((((C6 * rest + C5) * rest + C4) * rest + C3) * rest + C2) * rest
    grown = grown * rest + rest
    scale = np.int32(np.int32(rounded.view(np.int32)) << EXPONENT).view(np.float32)
    return np.float32((ONE - scale) - grown * scale)


@part_of_compiled
def precise_mass(distance):
    """Returns what `ops.exponential.precise_masses` returns."""
    rounded = distance * PER_LN_2_64 + ROUNDS_64
    whole = rounded - ROUNDS_64
    rest = (distance - whole * LN_2_HIGH_64) - whole * LN_2_LOW_64
    mass = rest * SERIES_64[0]
    for place in range(1, len(SERIES_64)):
        mass = (mass + SERIES_64[place]) * rest
    mass = ((mass * rest) + rest) + 1.0
    scale = np.int64(np.int64(np.float64(rounded).view(np.int64)) << EXPONENT_64)
    return mass * np.int64(scale).view(np.float64)


@part_of_compiled
def _range(bits):
    """Returns (whether the row is ordinary, its maximum, its least finite logit, how many are).

    An ordinary row has no NaN, and its maximum is finite.
    """
    low, high, allowed = np.int32(2147483647), np.int32(-2147483648), np.int32(0)
    for column in range(len(bits)):
        value = ordered(bits[column])
        low = min(low, value)
        high = max(high, value)
        allowed += np.int32(1) if value > LOWEST else np.int32(0)
    maximum = np.int32(ordered(high)).view(np.float32)
    minimum = np.int32(ordered(max(low, np.int32(LOWEST + 1)))).view(np.float32)
    return low >= LOWEST and LOWEST < high < HIGHEST, maximum, minimum, allowed


@part_of_compiled
def _key(logit, column):
    """Returns a token's key; the keys of a row are in the order of the sorted tokens."""
    # + 0 makes -0 equal to 0
    value = ordered(np.float32(logit + np.float32(0)).view(np.int32))
    descending = np.uint32(~value ^ np.int32(-2147483648))
    return (np.uint64(descending) << np.uint64(32)) + np.uint64(column)


@part_of_compiled
def _logit(key):
    """Returns the logit of a key."""
    value = ~(np.int32(np.uint32(key >> np.uint64(32))) ^ np.int32(-2147483648))
    return np.int32(ordered(np.int32(value))).view(np.float32)


@part_of_compiled
def _digit(key, place):
    """Returns the digit of a key's logit, the least significant at place 0."""
    return (key >> np.uint64(32 + DIGIT_BITS * place)) & np.uint64(DIGITS - 1)


@part_of_compiled
def _move(keys, size, place, counts, to):
    """Moves keys[:size] in the order of a digit."""
    for at in range(size):
        key = keys[at]
        digit = _digit(key, place)
        to[counts[place, digit]] = key
        counts[place, digit] += 1


@part_of_compiled
def _sort(keys, size, other, counts):
    """Sorts keys[:size], whose columns are in order, into other[:size]; changes `keys`."""
    counts[:] = 0
    for at in range(size):
        key = keys[at]
        counts[0, _digit(key, 0)] += 1
        counts[1, _digit(key, 1)] += 1
        counts[2, _digit(key, 2)] += 1
    for place in range(3):
        total = np.int32(0)
        for digit in range(DIGITS):
            here = counts[place, digit]
            counts[place, digit] = total
            total += here
    _move(keys, size, 0, counts, other)
    _move(other, size, 1, counts, keys)
    _move(keys, size, 2, counts, other)


@part_of_compiled
def _set_distances(keys, begin, end, maximum, distances, masses):
    """Sets the distances x - max of keys[begin:end], and their masses."""
    for at in range(begin, end):
        distance = np.float32(_logit(keys[at]) - maximum)
        distances[at - begin] = distance
        masses[at - begin] = exponential(NO_MASS if distance < NO_MASS else distance)


@part_of_compiled
def _set_logarithms(number, above_one, logarithms):
    """Sets the logarithms of numbers from 0 to 1 that rise: of the last ones x - 1 has the bits."""
    if above_one[0] > -SMALL:
        for at in range(len(logarithms)):
            logarithms[at] = above_one[at]
    else:
        for at in range(len(logarithms)):
            logarithms[at] = logarithm(number[at], above_one[at])


@part_of_compiled
def _bend(share, up_to, distance, amount, power, log_total, work, bent):
    """Sets `bent` to the new logits of tokens that are side by side in a sorted row.

    Each loop is short, so that the compiler makes vectors of it; `work` is memory. Returns the
    logarithm of the first `up_to`.
    """
    number, above_one, logs, log_up_to = work
    size = len(bent)
    for at in range(size):
        above_one[at] = up_to[at] - 1.0
    _set_logarithms(up_to, above_one, log_up_to[:size])
    for at in range(size):
        above_one[at] = -share[at]
        number[at] = 1.0 - share[at]
    _set_logarithms(number, above_one, logs[:size])
    for at in range(size):
        logs[at] *= power
    if logs[0] > -SMALL:
        for at in range(size):
            logs[at] = -logs[at]
    else:
        for at in range(size):
            logs[at] = rest_of_one(logs[at])
    for at in range(size):
        bent[at] = logarithm(logs[at], np.float32(logs[at] - ONE))
    for at in range(size):
        tiny = (amount - log_total) + (power - ONE) * log_up_to[at] + distance[at]
        usual = bent[at] + power * log_up_to[at]
        logit = tiny if share[at] < TINY else usual
        bent[at] = REMOVED if distance[at] < NOTHING else logit
    return log_up_to[0]


@compiled(
    int32[:, ::1],
    float32[:, ::1],
    int64,
    int64,
    float32[::1],
    float32[::1],
    uint64[::1],
    uint64[::1],
    int32[:, ::1],
    int32[::1],
    float64[::1],
)
def skew_rows(bits, logits, first, last, amounts, powers, keys, other, counts, _, running):
    """Bends the cumulated probabilities of the rows [first, last); the powers are e^amount.

    `bits` and `logits` are the same memory; what follows the powers is memory for a row.
    """
    columns = logits.shape[1]
    masses, distances = np.empty(STRETCH, np.float32), np.empty(STRETCH, np.float32)
    share, up_to = np.empty(STRETCH), np.empty(STRETCH)
    logs, log_up_to = np.empty(STRETCH, np.float32), np.empty(STRETCH, np.float32)
    work, bent = (
        (np.empty(STRETCH), np.empty(STRETCH), logs, log_up_to),
        np.empty(STRETCH, np.float32),
    )
    for row in range(first, last):
        ordinary, maximum, _, _ = _range(bits[row])
        amount, power, values = amounts[row], powers[row], logits[row]
        if amount == 0 or not ordinary:
            continue
        for column in range(columns):
            keys[column] = _key(values[column], column)
        _sort(keys, columns, other, counts)
        total = 0.0
        for begin in range(0, columns, STRETCH):
            end = min(begin + STRETCH, columns)
            _set_distances(other, begin, end, maximum, distances, masses)
            for at in range(begin, end):
                total += masses[at - begin]
                running[at] = total
        log_total = logarithm(total, total - 1.0)
        for begin in range(0, columns, STRETCH):
            end = min(begin + STRETCH, columns)
            size = end - begin
            _set_distances(other, begin, end, maximum, distances, masses)
            for at in range(size):
                share[at] = masses[at] / running[begin + at]
                up_to[at] = running[begin + at] / total
            first_log = _bend(share, up_to, distances, amount, power, log_total, work, bent[:size])
            if begin == 0:  # nothing is before it
                bent[0] = power * first_log
            for at in range(size):
                values[np.uint32(other[begin + at])] = bent[at]


@part_of_compiled
def _find_buckets(logits, begin, end, maximum, scale, buckets):
    """Sets the buckets of the columns [begin, end); they rise with the distance."""
    for column in range(begin, end):
        scaled = np.float32(maximum - logits[column]) * scale
        buckets[column - begin] = np.int32(min(scaled, np.float32(BUCKETS)))


@part_of_compiled
def _collect(logits, maximum, scale, edge, buckets, keys):
    """Sets the keys of the tokens in the buckets below `edge`; returns how many they are."""
    size = 0
    for begin in range(0, len(logits), STRETCH):
        end, inside = min(begin + STRETCH, len(logits)), np.int32(0)
        _find_buckets(logits, begin, end, maximum, scale, buckets)
        for at in range(end - begin):
            inside += np.int32(1) if buckets[at] < edge else np.int32(0)
        if inside:
            for column in range(begin, end):
                if buckets[column - begin] < edge:
                    keys[size] = _key(logits[column], column)
                    size += 1
    return size


@part_of_compiled
def _collect_likely(logits, maximum, scale, buckets, counts, keys):
    """Sets the keys of the likeliest tokens; returns how many they are, some `FIRST`.

    Where these end is estimated by a part of the row.
    """
    found = counts[0]
    found[: BUCKETS + 1] = 0
    for begin in range(0, len(logits), STRETCH * SAMPLED):
        end = min(begin + STRETCH, len(logits))
        _find_buckets(logits, begin, end, maximum, scale, buckets)
        for at in range(end - begin):
            found[np.uint32(buckets[at])] += 1
    edge, total = 0, 0
    while edge < BUCKETS and total < FIRST // SAMPLED:
        total += found[edge]
        edge += 1
    return _collect(logits, maximum, scale, edge, buckets, keys)


@part_of_compiled
def _collect_allowed(logits, keys):
    """Sets the keys of the tokens that are allowed; returns how many they are."""
    size = 0
    for column in range(len(logits)):
        if logits[column] > REMOVED:
            keys[size] = _key(logits[column], column)
            size += 1
    return size


@part_of_compiled
def _sum_bends(keys, size, maximum, running):
    """Sums the absolute second differences of the sorted masses into `running`, [size - 2].

    Returns (their sum, the last mass but one).
    """
    masses, bends = np.empty(STRETCH + 2), np.empty(STRETCH)
    total = 0.0
    for begin in range(0, size, STRETCH):
        end = min(begin + STRETCH, size)
        masses[0], masses[1] = masses[STRETCH], masses[STRETCH + 1]
        for at in range(begin, end):
            distance = np.float64(_logit(keys[at])) - np.float64(maximum)
            distance = NO_MASS_64 if distance < NO_MASS_64 else distance
            masses[at - begin + 2] = precise_mass(distance)
        for at in range(end - begin):
            first, second = masses[at] - masses[at + 1], masses[at + 1] - masses[at + 2]
            bends[at] = abs(first - second)
        for at in range(max(begin, 2), end):
            total += bends[at - begin]
            running[at - 2] = total
    return total, masses[(size - 1) % STRETCH + 1]


@part_of_compiled
def _within(running, size, goal):
    """Returns how many of running[:size] are at most the goal."""
    count = np.int64(0)
    for at in range(size):
        count += np.int64(1) if running[at] <= goal else np.int64(0)
    return count


@part_of_compiled
def _last_kept(keys, size, complete, maximum, share, running):
    """Returns (the last logit that is kept, whether these sorted tokens suffice to tell)."""
    if size < 3:
        return REMOVED, complete
    known, unknown = _sum_bends(keys, size, maximum, running)
    unknown = 0.0 if complete else 2.0 * unknown
    fewest = _within(running, size - 2, share * known)
    most = _within(running, size - 2, share * (known + unknown))
    suffice = complete or unknown == 0 or (fewest == most < size - 2)
    return (_logit(keys[fewest]) if known > STRAIGHT else REMOVED), suffice


@compiled(
    int32[:, ::1],
    float32[:, ::1],
    int64,
    int64,
    float32[::1],
    uint64[::1],
    uint64[::1],
    int32[:, ::1],
    int32[::1],
    float64[::1],
)
def cut_tails(bits, logits, first, last, shares, keys, other, counts, buckets, running):
    """Tail-free sampling of the rows [first, last): among the likeliest tokens, then among all.

    `bits` and `logits` are the same memory; what follows the shares is memory for a row.
    """
    for row in range(first, last):
        ordinary, maximum, minimum, allowed = _range(bits[row])
        values, share = logits[row], np.float64(shares[row])
        if share >= 1 or not ordinary:
            continue
        radius = min(max(np.float32(maximum - minimum), np.float32(1e-30)), FARTHEST)
        scale = np.float32(np.float32(BUCKETS - 1) / radius)
        least = REMOVED
        for everything in (False, True):
            if everything:
                size = _collect_allowed(values, keys)
            else:
                size = _collect_likely(values, maximum, scale, buckets, counts, keys)
            _sort(keys, size, other, counts)
            least, suffice = _last_kept(other, size, size == allowed, maximum, share, running)
            if suffice:
                break
        for column in range(len(values)):
            values[column] = REMOVED if values[column] < least else values[column]
