"""The stage `p_less`: definition and table of numbers."""

import math

from tests.plain import Row, keep
from tests.tables import HALVES, TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, p_less: bool) -> Row:
    """What is at least as likely as two draws are to be equal: `p >= sum p^2`, times S^2."""
    masses = [math.exp(value - max(x)) for value in x]
    total, squares = math.fsum(masses), math.fsum(mass * mass for mass in masses)
    return keep(x, lambda token: masses[token] * total >= squares)


TABLE = [
    cut("0.336", True, HALVES, 0),
    cut("0.305, just above the second", True, logs(0.45, 0.3, *[0.05] * 5), 0),
    cut("0.308, just below the second", True, logs(0.45, 0.31, *[0.04] * 6), 0, 1),
    cut("all tied", True, [7, 7, 7], 0, 1, 2),
    cut("tied at the top", True, [7, 7, 7, -90, X], 0, 1, 2),
    cut("over what is left", True, [X, *TENTHS], 1, 2),
    cut("one candidate", True, [X, -7], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
