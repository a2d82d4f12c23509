"""The stage `dynamic_temperature`: definition and table of numbers."""

import math

from temperament.stages import FLOAT32_TINY
from tests.plain import Row, ranked
from tests.tables import QUARTERS, Case, Numbers, X, case, table_tests


def reference(
    x: Row, *, dynatemp_low: float, dynatemp_high: float, dynatemp_exponent: float
) -> Row:
    """`x / T`, T between low and high as the entropy is between 0 and that of equal chances.

    One candidate: nothing. H is `ln S - sum p d`, d = x - max; what float32 holds as no mass takes
    no part in it.
    """
    candidates = len(ranked(x))
    if candidates == 1:
        return x
    best = max(x)
    masses = [math.exp(value - best) for value in x]
    masses = [mass if mass > 2**-149 else 0.0 for mass in masses]
    alike = masses.count(1.0)
    rest = math.fsum(mass for mass in masses if mass < 1)
    below = -math.fsum(mass * math.log(mass) for mass in masses if mass) / (alike + rest)
    flatness = (math.log(alike) + math.log1p(rest / alike) + below) / math.log(candidates)
    way = min(flatness, 1.0) ** dynatemp_exponent
    t = (1 - way) * dynatemp_low + way * dynatemp_high
    t = max(t, FLOAT32_TINY)
    return [value / t for value in x]


WAY = 1.5 * math.log(2) / math.log(3)
FAINT = 1e25 * (math.log1p(math.exp(-60)) + 60 / (1 + math.exp(60))) / math.log(2)


def dynatemp(
    why: str, low: float, high: float, exponent: float, before: Numbers, after: Numbers
) -> Case:
    """Temperatures between low and high."""
    return case(why, low, before, after, dynatemp_high=high, dynatemp_exponent=exponent)


TABLE = [
    dynatemp("no entropy: low", 0.5, 2, 1, [0, -200], [0, -400]),
    dynatemp("all alike: high", 0.5, 2, 1, [3, 3, X], [1.5, 1.5, X]),
    dynatemp("in between", 1, 2, 1, QUARTERS, [x / (1 + WAY) for x in QUARTERS]),
    dynatemp("bent", 1, 2, 3, QUARTERS, [x / (1 + WAY**3) for x in QUARTERS]),
    dynatemp("falling", 2, 1, 1, QUARTERS, [x / (2 - WAY) for x in QUARTERS]),
    dynatemp("falling to almost nothing", 0.5, 1e-24, 1, [4, 4, X], [4e24, 4e24, X]),
    dynatemp("over what is left", 1, 2, 1, [X, *QUARTERS], [X, *(x / (1 + WAY) for x in QUARTERS)]),
    dynatemp("one candidate: nothing", 0.5, 2, 1, [X, 3, X], [X, 3, X]),
    dynatemp("low zero, no entropy: the best alone", 0, 2, 1, [0, -200], [0, X]),
    dynatemp("the smallest entropy counts", 0, 1e25, 1, [0, -60], [0, -60 / FAINT]),
    dynatemp("never greedy between equals", 0, 1, 100, [0, 0, *[-10] * 4], [0, 0, X, X, X, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
