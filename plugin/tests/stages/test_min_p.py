"""The stage `min_p`: definition and table of numbers."""

from tests.plain import Row, keep, softmax
from tests.tables import TENTHS, X, cut, table_tests


def reference(x: Row, *, min_p: float) -> Row:
    """What is at least m times as likely as the most likely."""
    p = softmax(x)
    least = min_p * max(p)
    return keep(x, lambda token: p[token] >= least)


TABLE = [
    cut("just below the second", 0.74, TENTHS, 0, 1),
    cut("just above the second", 0.76, TENTHS, 0),
    cut("just below the third", 0.374, TENTHS, 0, 1, 2),
    cut("just above the third", 0.376, TENTHS, 0, 1),
    cut("just below the last", 0.1249, TENTHS, 0, 1, 2, 3, 4),
    cut("just above the last", 0.1251, TENTHS, 0, 1, 2, 3),
    cut("one: the most likely alone", 1, TENTHS, 0),
    cut("one, a tie: both", 1, [3, 2, 3], 0, 2),
    cut("removed tokens don't come back", 1e-9, [X, 0, -5], 1, 2),
    cut("tiny: nearly all", 1e-30, [0, -60, -80], 0, 1),
    cut("one candidate", 0.9, [X, -5, X], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
