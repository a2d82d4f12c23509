"""The stage `skew`: definition and table of numbers."""

import math
from itertools import accumulate

from tests.plain import REMOVED, Row, ranked, softmax
from tests.tables import X, case, logs, table_tests


def reference(x: Row, *, skew: float) -> Row:
    """`p_i' = F_i^a - F_(i-1)^a`, as `F_i^a (1 - exp(-a ln(F_i / F_(i-1))))`."""
    a = math.exp(skew)
    best = max(x)
    order = [token for token in ranked(x) if math.exp(x[token] - best) > 0]
    p = softmax(x)
    before = list(accumulate((p[token] for token in order), initial=0.0))
    later = list(accumulate((p[token] for token in reversed(order)), initial=0.0))[-2::-1]
    after = [REMOVED] * len(x)
    for place, token in enumerate(order):
        up_to = math.log1p(-later[place])
        if place == 0:
            after[token] = a * up_to
        else:
            grown = -math.expm1(-a * math.log1p(p[token] / before[place]))
            after[token] = a * up_to + (math.log(grown) if grown else REMOVED)
    return after


RARE = -math.log1p(math.exp(-16))
TWICE_RARE = math.log(-math.expm1(2 * RARE))


TABLE = [
    case("F squared", math.log(2), logs(0.5, 0.25, 0.25), logs(0.25, 0.3125, 0.4375)),
    case("the root", -math.log(2), logs(0.25, 0.75), logs(1 - 0.75**0.5, 0.75**0.5)),
    case("cubed, sorted", math.log(3), logs(0.2, 0.8), logs(1 - 0.512, 0.512)),
    case("removed stays", math.log(2), [X, *logs(0.5, 0.5)], [X, *logs(0.25, 0.75)]),
    case("the least likely are exact", math.log(2), [0, -16], [2 * RARE, TWICE_RARE]),
    case("one candidate", 3.0, [X, 0], [X, 0]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
