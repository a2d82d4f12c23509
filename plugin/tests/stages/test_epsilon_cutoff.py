"""The stage `epsilon_cutoff`: definition and table of numbers."""

from tests.plain import Row, at_least
from tests.tables import TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, epsilon_cutoff: float) -> Row:
    """What has a probability of at least e."""
    return at_least(x, epsilon_cutoff)


TABLE = [
    cut("just below the last", 0.0499, TENTHS, 0, 1, 2, 3, 4),
    cut("just above the last", 0.0501, TENTHS, 0, 1, 2, 3),
    cut("just below the second", 0.299, TENTHS, 0, 1),
    cut("just above the second", 0.301, TENTHS, 0),
    cut("above all: the best stays", 0.9, TENTHS, 0),
    cut("above all, a tie: both", 0.9, [3, 3, 2], 0, 1),
    cut("over what is left", 0.39, [X, *logs(0.3, 0.2)], 1, 2),
    cut("over what is left", 0.41, [X, *logs(0.3, 0.2)], 1),
    cut("far from zero, just below", 0.2689, [1e7, 1e7 - 1], 0, 1),
    cut("far from zero, just above", 0.2690, [1e7, 1e7 - 1], 0),
    cut("one candidate", 0.9, [X, -5, X], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
