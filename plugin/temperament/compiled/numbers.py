"""What the compiled files share. Importing it compiles nothing."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from temperament.compiled import constants

# Of integers in the order of floats: NaN lies outside.
LOWEST, HIGHEST = -2139095041, 2139095040  # the infinities
REMOVED = np.float32(-np.inf)
NO_MASS = np.float32(constants.NO_MASS)
PER_LN_2, ROUNDS = np.float32(constants.PER_LN_2), np.float32(constants.ROUNDS)
LN_2_HIGH, LN_2_LOW = np.float32(constants.LN_2_HIGH), np.float32(constants.LN_2_LOW)
C6, C5, C4, C3, C2 = (np.float32(number) for number in constants.COEFFICIENTS)
EXPONENT = np.int32(constants.EXPONENT)

# numba compiles a function anew when the function's file changes, and doesn't look at what it uses.
# It names the cached file by the function, whose name therefore ends with these files' digest.
SHARED = sha256(
    b"".join(Path(file).read_bytes() for file in (__file__, constants.__file__))
).hexdigest()[:8]


def compiled(*signature: Any) -> Callable[[Any], Any]:
    """Compiles a function for these arguments, and caches it where there is a folder for that."""
    options = {"nogil": True, "error_model": "numpy"}

    def decorate(function: Any) -> Any:
        function.__qualname__ += f"_{SHARED}"
        try:
            return njit(signature, cache=True, **options)(function)
        except RuntimeError:  # no folder can be written
            return njit(signature, **options)(function)

    return decorate


# A function that is part of compiled ones, and isn't called from elsewhere, which would take longer
# to compile. A division by 0 gives infinity, as in torch.
part_of_compiled = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@part_of_compiled
def ordered(bits):
    """A float's bits as an integer in the order of floats, and back."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@part_of_compiled
def exponential(distance):
    """Returns what `ops.exponential.masses_of` returns."""
    power = np.float32(distance * PER_LN_2 + ROUNDS)
    whole = power - ROUNDS
    rest = (distance - whole * LN_2_HIGH) - whole * LN_2_LOW
    mass = ((((C6 * rest + C5) * rest + C4) * rest + C3) * rest + C2) * rest
    mass = (mass * rest + rest) + np.float32(1)
    scale = np.int32(np.int32(power.view(np.int32)) << EXPONENT)
    return np.float32(mass * scale.view(np.float32))


@part_of_compiled
def add_halves(numbers, size):
    """Returns the sum of numbers[:size], as `ops.sums.add_halves`; changes the numbers."""
    half = 1
    while half * 2 < size:
        half *= 2
    while size > 1:
        # two arrays, so that the compiler makes vectors of the additions
        one, other = numbers[:half], numbers[half:size]
        for place in range(len(other)):
            one[place] += other[place]
        size, half = half, half // 2
    return numbers[0]
