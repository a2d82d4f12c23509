"""The stage `eta_cutoff`: definition and table of numbers."""

import math

from tests.plain import Row, at_least, nats, softmax
from tests.tables import HALVES, X, cut, table_tests


def reference(x: Row, *, eta_cutoff: float) -> Row:
    """What has a probability of at least min(e, sqrt(e) exp(-H))."""
    e = eta_cutoff
    return at_least(x, min(e, math.sqrt(e) * math.exp(-nats(softmax(x)))))


TABLE = [
    # exp(-H) is 2^-1.875: sqrt(e) times it is below e from e = 0.0743 on.
    cut("e itself, just below", 0.0624, HALVES, 0, 1, 2, 3, 4),
    cut("e itself, just above", 0.0626, HALVES, 0, 1, 2),
    cut("by the entropy, just below", 0.2101, HALVES, 0, 1, 2),
    cut("by the entropy, just above", 0.2103, HALVES, 0, 1),
    cut("high", 0.8408, HALVES, 0, 1),
    cut("higher", 0.8410, HALVES, 0),
    cut("one candidate", 0.9, [X, -5, X], 1),
    cut("all tied: below exp(-H)", 0.9, [7, 7, 7], 0, 1, 2),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
