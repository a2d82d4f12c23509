"""The functions that numba compiles: a row's candidates, and what of them is kept.

They compare, add and divide as the ops do, in IEEE arithmetic and in the same order, so that the
bits are the same on every processor. Importing this file compiles them, which takes seconds; later
processes load them from numba's cache.
"""

import numpy as np
from numba.types import boolean, float32, float64, int32, int64

from temperament.compiled.numbers import (
    LOWEST,
    NO_MASS,
    REMOVED,
    add_halves,
    compiled,
    exponential,
    ordered,
    part_of_compiled,
)

CHUNK = 64  # columns whose maximum is computed at once
ROOM = 2048  # candidates that a row collects before the smallest are dropped


@part_of_compiled
def _largest_first(keys, size, count):
    """Moves the `count` largest of keys[:size] to the front, unordered; returns the least of them.

    Quickselect.
    """
    low, high = 0, size - 1
    while low < high:
        pivot = keys[(low + high) >> 1]
        left, right = low, high
        while left <= right:
            while keys[left] > pivot:
                left += 1
            while keys[right] < pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                left += 1
                right -= 1
        if count - 1 <= right:
            high = right
        elif count - 1 >= left:
            low = left
        else:
            break
    least = keys[0]
    for place in range(1, count):
        least = min(least, keys[place])
    return least


@part_of_compiled
def _sort(keys, size):
    """Sorts keys[:size], descending."""
    for end in range(1, size):
        key = keys[end]
        place = end
        while place > 0 and keys[place - 1] < key:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key


@part_of_compiled
def _largest(row, keys, maxima, count):
    """Sets keys[:count] to the row's largest, descending: (value << 32) + column.

    Returns the row's minimum. Values are ordered integers. The n largest lie in the n chunks with
    the largest maxima.
    """
    columns = len(row)
    full = columns // CHUNK
    lowest = np.int32(2147483647)
    for chunk in range(full):
        part = row[chunk * CHUNK : (chunk + 1) * CHUNK]
        largest = np.int32(-2147483648)
        for column in range(CHUNK):
            value = ordered(part[column])
            largest = max(largest, value)
            lowest = min(lowest, value)
        maxima[chunk] = largest
    for column in range(full * CHUNK, columns):
        value = ordered(row[column])
        maxima[full] = value if column == full * CHUNK else max(maxima[full], value)
        lowest = min(lowest, value)
    chunks = len(maxima)
    for chunk in range(chunks):
        keys[chunk] = maxima[chunk]
    bound = _largest_first(keys, chunks, count)
    size = 0
    for chunk in range(chunks):
        if maxima[chunk] < bound:
            continue
        for column in range(chunk * CHUNK, min((chunk + 1) * CHUNK, columns)):
            value = np.int64(ordered(row[column]))
            if value >= bound:
                keys[size] = (value << 32) + column
                size += 1
                if size == ROOM:
                    bound = (_largest_first(keys, size, count) >> 32) + 1
                    size = count
    _largest_first(keys, size, count)
    _sort(keys, count)
    return lowest


@compiled(
    int32[:, ::1],
    float32[:, ::1],
    int64,
    int64,
    float32[::1],
    int64[::1],
    int64[::1],
    int32[::1],
    int32[:, ::1],
    float32[:, ::1],
    int64[:, ::1],
    boolean[::1],
)
def narrow(
    bits,
    logits,
    first,
    last,
    temperature,
    k,
    keys,
    maxima,
    found_bits,
    found,
    tokens,
    narrowed,
):
    """Temperature and top-k of the rows [first, last).

    `bits` and `logits` are the same memory, [rows, vocab], and so are `found_bits` and `found`,
    [rows, width]; `keys` and `maxima` are memory for a row. Sets what was found, descending and
    -inf where top-k removes it, its `tokens`, and all the row's logits to -inf. A row that needs
    more than was found stays as it is, and is not `narrowed`.
    """
    width = found.shape[1]
    for row in range(first, last):
        lowest = _largest(bits[row], keys, maxima, width)
        for place in range(width):
            tokens[row, place] = keys[place] & 0xFFFFFFFF
            found_bits[row, place] = ordered(np.int32(keys[place] >> 32))
            found[row, place] /= temperature[row]
        edge, end = found[row, k[row] - 1], found[row, width - 1]
        finite = lowest >= LOWEST and REMOVED < found[row, 0] < -REMOVED
        complete = end < edge or end == REMOVED  # else others may be tied with the k-th
        narrowed[row] = finite and complete
        if narrowed[row]:
            for place in range(width):
                if found[row, place] < edge:
                    found[row, place] = REMOVED
            cleared = logits[row]
            for column in range(len(cleared)):
                cleared[column] = REMOVED


@compiled(float32[:, ::1], float32[:, ::1], int64[:, ::1], boolean[::1], float32[::1], float64[::1])
def finish(logits, found, tokens, narrowed, p, log_min_p):
    """Top-p and min-p of what was found in the narrowed rows; writes what is kept."""
    width = found.shape[1]
    masses, work = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(len(logits)):
        if not narrowed[row]:
            continue
        bound = np.float64(found[row, 0]) + min(log_min_p[row], 0.0)
        if p[row] < 1:
            for place in range(width):
                distance = np.float32(found[row, place] - found[row, 0])
                masses[place] = exponential(NO_MASS if distance < NO_MASS else distance)
                work[place] = masses[place]
            goal = p[row] * add_halves(work, width)
            running, place = 0.0, 0
            while place < width - 1:
                running += masses[place]
                if np.float32(running) >= goal:
                    break
                place += 1
            bound = max(bound, np.float64(found[row, place]))
        for place in range(width):
            if found[row, place] >= bound:
                logits[row, tokens[row, place]] = found[row, place]
