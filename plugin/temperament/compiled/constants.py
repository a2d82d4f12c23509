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

# Of `ops.exponential.precise_masses`: the same in float64, with the coefficients of the series.
PER_LN_2_64 = 1 / math.log(2)
LN_2_HIGH_64 = 0.6931471804855391  # 33 bits of ln 2
LN_2_LOW_64 = 7.440617110012397e-11
ROUNDS_64 = 1.5 * 2.0**52 + 1023
COEFFICIENTS_64 = tuple(1 / math.factorial(power) for power in range(13, 1, -1))
EXPONENT_64 = 52
NO_MASS_64 = -700.0

# Of `ops.logarithm`: the bits of the float32 next to the root of 1/2, and the coefficients of
# (atanh(s) / s - 1) / s^2 in s^2, the highest power first.
ROOT_HALF_BITS = 0x3F3504F3
LOGARITHM = (1 / 9, 1 / 7, 1 / 5, 1 / 3)
BIAS = 127  # of a float's exponent
SMALL = 2.0**-26  # of x - 1 below it the logarithm is x - 1, of p below it 1 - e^-p is p

# Of `ops.skew`: shares below TINY are taken from the logits; a mass this far below the largest is
# 0 in float64.
TINY = 2.0**-60
NOTHING = -745.13325

# Of `ops.tfs`: second differences whose sum is below this part of the largest mass are errors of
# rounding.
STRAIGHT = 1e-12
