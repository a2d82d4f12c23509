"""The stage `top_p`: definition and table of numbers."""

from tests.plain import Row, keep, softmax
from tests.tables import HALVES, TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, top_p: float) -> Row:
    """The fewest of the most likely with a mass of at least p, and what is tied with the last."""
    mass = 0.0
    for probability, value in sorted(zip(softmax(x), x, strict=True), reverse=True):
        mass, last = mass + probability, value
        if mass >= top_p:
            break
    return keep(x, lambda token: x[token] >= last)


TABLE = [
    cut("none: the most likely", 0, HALVES, 0),
    cut("none, a tie: both", 0, logs(0.4, 0.4, 0.2), 0, 1),
    cut("below the first", 0.49, HALVES, 0),
    cut("just above the first", 0.51, HALVES, 0, 1),
    cut("just below the second", 0.749, HALVES, 0, 1),
    cut("just above the second", 0.751, HALVES, 0, 1, 2),
    cut("the crossing token stays", 0.8, HALVES, 0, 1, 2),
    cut("just above the third: the tie stays too", 0.876, HALVES, 0, 1, 2, 3, 4),
    cut("just below one", 0.9999, HALVES, 0, 1, 2, 3, 4),
    cut("the nearest to one that float32 has", 1 - 2**-24, logs(0.9, 0.1 - 1e-6, 1e-6), 0, 1, 2),
    cut("just below a sum", 0.8499, TENTHS, 0, 1, 2),
    cut("just above a sum", 0.8501, TENTHS, 0, 1, 2, 3),
    cut("unsorted", 0.6, logs(0.1, 0.4, 0.05, 0.3, 0.15), 1, 3),
    cut("over what is still allowed", 0.6, [X, *logs(0.2, 0.1), X], 1),
    cut("over what is still allowed", 0.7, [X, *logs(0.2, 0.1), X], 1, 2),
    cut("one candidate", 0.5, [X, 3, X], 1),
    cut("all tied", 0.1, [7, 7, 7], 0, 1, 2),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
