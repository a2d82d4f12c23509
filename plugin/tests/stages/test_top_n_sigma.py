"""The stage `top_n_sigma`: definition and table of numbers."""

import statistics

from tests.plain import REMOVED, Row, keep
from tests.tables import X, cut, table_tests


def reference(x: Row, *, top_n_sigma: float) -> Row:
    """What lies within n standard deviations of the largest."""
    least = max(x) - top_n_sigma * statistics.pstdev(value for value in x if value > REMOVED)
    return keep(x, lambda token: x[token] >= least)


SPREAD = [9.0, 7.0, 5.0, 5.0, 4.0, 4.0, 4.0, 2.0]


TABLE = [
    cut("just below one", 0.99, SPREAD, 0),
    cut("just above one", 1.01, SPREAD, 0, 1),
    cut("just below two", 1.99, SPREAD, 0, 1),
    cut("just above two", 2.01, SPREAD, 0, 1, 2, 3),
    cut("just below three and a half", 3.49, SPREAD, *range(7)),
    cut("just above three and a half", 3.51, SPREAD, *range(8)),
    cut("removed tokens don't count", 1.01, [X, *SPREAD, X], 1, 2),
    cut("all tied", 0.1, [7, 7, X], 0, 1),
    cut("one candidate", 0.1, [X, -7], 1),
    cut("far from zero", 1.01, [x + 1e6 for x in SPREAD], 0, 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
