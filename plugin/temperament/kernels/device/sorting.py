"""A row's values in order, for the few stages that need it: a radix sort in one program.

Four bits at a time, from the lowest on; a step keeps the order of equal digits, so equal values are
in the order of their places. No atomics: the place of a number is that of its digit, and how many
of the same digit came before. Digits that all numbers share, as logits of bfloat16 have, are
skipped.
"""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY, key
from temperament.kernels.device.row import read

BITS = tl.constexpr(4)
DIGITS = tl.constexpr(16)


@triton.jit
def _has_digit(value, shift, inside):
    """Which digit each value has: [DIGITS, lanes]. The largest value has the least digits."""
    digit = ((key(value) ^ 0x7FFFFFFF) >> shift) & (DIGITS - 1)
    return (digit[None, :] == tl.arange(0, DIGITS)[:, None]) & inside[None, :]


@triton.jit
def sort(row, values, places, distance, with_places, LANES: tl.constexpr):
    """Writes the row's values, the largest first, and -inf for each removed token.

    With `with_places` also their places in the row. `values` and `places` have two parts of
    `distance`; returns where the part with the result begins.
    """
    lanes = tl.arange(0, LANES)
    length = row.length
    count = tl.zeros([DIGITS], tl.int32)
    for start in range(0, length, LANES):
        at = start + lanes
        _x, value, allowed = read(row, at)
        value = tl.where(allowed, value + 0.0, -INFINITY)  # 0.0 and -0.0 are tied
        tl.store(values + at, value, mask=at < length)
        if with_places != 0:
            tl.store(places + at, at, mask=at < length)
        count += tl.sum(_has_digit(value, 0, at < length).to(tl.int32), 1)
    tl.debug_barrier()
    source = distance * 0
    shift = 0
    while shift < 32:
        moves = (tl.max(count, 0) < length).to(tl.int32)
        place = tl.cumsum(count, 0) - count  # of the next number with each digit
        count = tl.zeros([DIGITS], tl.int32)
        following = tl.minimum(shift + BITS, 32 - BITS)
        for start in range(0, length, LANES):
            at = start + lanes
            inside = at < length
            value = tl.load(values + source + at, mask=inside, other=-INFINITY)
            count += tl.sum(_has_digit(value, following, inside).to(tl.int32), 1)
            if moves != 0:
                digit = _has_digit(value, shift, inside)
                number = digit.to(tl.int32)
                before = place[:, None] + tl.cumsum(number, 1) - 1
                to = distance - source + tl.sum(tl.where(digit, before, 0), 0)
                tl.store(values + to, value, mask=inside)
                if with_places != 0:
                    old = tl.load(places + source + at, mask=inside, other=0)
                    tl.store(places + to, old, mask=inside)
                place += tl.sum(number, 1)
        tl.debug_barrier()
        if moves != 0:
            source = distance - source
        shift += BITS
    return source
