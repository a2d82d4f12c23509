"""The kernel that computes the numbers of rows whose parameters follow a schedule.

The specification is `temperament.batch.ramp`.
"""

import math

import triton
import triton.language as tl

from temperament.kernels.device.opcodes import NUMBERS
from temperament.presets.schedule import CURVES, SINE_SERIES

QUARTER = tl.constexpr(math.pi / 2)
LINEAR = tl.constexpr(CURVES.index("linear"))
# A float64 below `WHOLE` plus `ROUNDING` has no bits left for a fraction.
WHOLE = tl.constexpr(2.0**51)
ROUNDING = tl.constexpr(1.5 * 2.0**52)
_0, _1, _2, _3, _4, _5, _6, _7, _8, _9 = (tl.constexpr(term) for term in SINE_SERIES)


@triton.jit
def _half_cosine(progress):
    """`(1 - cos(pi w)) / 2` by the same products and sums as the specification."""
    angle = progress * QUARTER
    square = angle * angle
    sine = square * 0.0 + _9
    sine = sine * square + _8
    sine = sine * square + _7
    sine = sine * square + _6
    sine = sine * square + _5
    sine = sine * square + _4
    sine = sine * square + _3
    sine = sine * square + _2
    sine = sine * square + _1
    sine = sine * square + _0
    sine = sine * angle
    return tl.where(progress >= 1.0, 1.0, sine * sine)


@triton.jit(do_not_specialize_on_alignment=["places", "positions", "integers"])
def follow_schedules(
    numbers, to, over, curves, integers, places, positions, result, BLOCK: tl.constexpr
):
    """Writes a row's numbers at its position; one program a row.

    A column of integers is rounded, ties to even; any other has float32 numbers.
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < NUMBERS
    at = tl.load(places + row) * NUMBERS + column
    begin = tl.load(numbers + at, mask=inside, other=0.0)
    end = tl.load(to + at, mask=inside, other=0.0)
    length = tl.load(over + at, mask=inside, other=1)
    curve = tl.load(curves + at, mask=inside, other=0)
    progress = tl.load(positions + row).to(tl.float64) / length.to(tl.float64)
    progress = tl.minimum(tl.maximum(progress, 0.0), 1.0)
    share = tl.where(curve == LINEAR, progress, _half_cosine(progress))
    value = begin + (end - begin) * share
    whole = tl.where(tl.abs(value) < WHOLE, (value + ROUNDING) - ROUNDING, value)
    integer = tl.load(integers + column, mask=inside, other=0) != 0
    value = tl.where(integer, whole, value.to(tl.float32).to(tl.float64))
    tl.store(result + row * NUMBERS + column, value, mask=inside)
