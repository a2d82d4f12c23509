"""The numbers of the specification (`ops`) that what is compiled has too. It needs no numba."""

import math

PIECE = 4096  # columns in a piece of a sum
# A logit this far below the largest has a mass too small for a float32 sum to notice. Its
# exponential is still a normal number.
NO_MASS = -87.0
LEAST_MASS = math.exp(NO_MASS)

# Of `ops.exponential`. ln 2 is the sum of two numbers, of which n times the first is exact. Adding
# ROUNDS to a small number rounds that to an integer n, and the sum ends with the bits of n + 127,
# the exponent of 2^n. COEFFICIENTS are those of q, the highest power first, with the least relative
# error of e^r for |r| <= ln 2 / 2.
PER_LN_2 = 1.4426950216293335
LN_2_HIGH, LN_2_LOW = 0.693145751953125, 1.428606765330187e-06
ROUNDS = 12582912.0 + 127
COEFFICIENTS = (
    0.001381459878757596,
    0.008368716575205326,
    0.04166838899254799,
    0.1666652113199234,
    0.4999999403953552,
)
EXPONENT = 23  # the bit at which a float's exponent begins
