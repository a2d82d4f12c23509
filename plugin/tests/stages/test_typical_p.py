"""The stage `typical_p`: definition and table of numbers."""

import math

from tests.plain import Row, keep, nats, softmax
from tests.tables import HALVES, X, cut, logs, table_tests


def reference(x: Row, *, typical_p: float) -> Row:
    """The fewest of the most typical with a mass of at least t, and what is tied with the last."""
    p = softmax(x)
    entropy = nats(p)
    strange = [abs(-math.log(share) - entropy) if share else math.inf for share in p]
    mass = 0.0
    for strangeness, share in sorted(zip(strange, p, strict=True)):
        mass, last = mass + share, strangeness
        if mass >= typical_p:
            break
    return keep(x, lambda token: strange[token] <= last)


TABLE = [
    # H is 1.875 ln 2; the surprises are 1, 2, 3, 4 and 4 times ln 2: nearest are 2, 1, 3, 4.
    cut("just below the most typical", 0.249, HALVES, 1),
    cut("just above the most typical", 0.251, HALVES, 0, 1),
    cut("just below two", 0.749, HALVES, 0, 1),
    cut("just above two", 0.751, HALVES, 0, 1, 2),
    cut("just above three: ties stay", 0.876, HALVES, 0, 1, 2, 3, 4),
    cut("the most likely may go", 0.25, logs(0.4, *[0.06] * 10), *range(1, 11)),
    cut("all tied", 0.1, [7, 7, 7], 0, 1, 2),
    cut("one candidate", 0.1, [X, 7, X], 1),
    cut("over what is left", 0.249, [X, *HALVES, X], 2),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
