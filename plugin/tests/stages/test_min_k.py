"""The stage `min_k`: definition and table of numbers."""

from tests.plain import Row, keep, ranked
from tests.tables import X, cut, table_tests


def reference(x: Row, *, min_k: bool, min_k_tau: float) -> Row:
    """Down to the steepest fall, or tau divided by the range, whichever is further down."""
    values = [x[token] for token in ranked(x)]
    n = len(values)
    cliff = max(range(1, n), key=lambda i: (values[i - 1] - values[i]) / i, default=1)
    extent = values[0] - values[-1]
    least = min_k_tau // extent if extent else n
    last = values[int(min(max(cliff, least), n)) - 1]
    return keep(x, lambda token: x[token] >= last)


FLAT = [0.3, 0.2, 0.1, 0.0]


TABLE = [
    cut("the second fall is just below twice the first", True, [9, 8, 6.01, 6], 0),
    cut("just above twice the first", True, [9, 8, 5.99, 5], 0, 1),
    cut("equal falls by rank: the first", True, [9, 8, 6, 3], 0),
    cut("a later fall", True, [9, 9, 8.9, 1, 0], 0, 1, 2),
    cut("the order of the tokens doesn't matter", True, [0, 8.9, 9, 1, 9], 1, 2, 4),
    cut("tied with the last kept one", True, [9, 6, 6, 5], 0, 1, 2, min_k_tau=8),
    cut("tau just below two ranges", True, FLAT, 0, min_k_tau=0.59),
    cut("tau just above two ranges", True, FLAT, 0, 1, min_k_tau=0.61),
    cut("tau of the default", True, FLAT, 0, 1, 2, 3),
    cut("tau of all that is left", True, [*FLAT, X], 0, 1, 2, 3, min_k_tau=99),
    cut("tau of 0: the cliff alone", True, FLAT, 0, min_k_tau=0),
    cut("all tied", True, [7, 7, 7, X], 0, 1, 2, min_k_tau=0),
    cut("removed tokens are no fall", True, [X, 9, 8, 5, X], 1, 2),
    cut("far from zero", True, [-999, -1000, -1003], 0, 1),
    cut("one candidate", True, [X, -7], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
