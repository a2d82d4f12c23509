"""The stage `p_less_norm`: definition and table of numbers."""

import math

from tests.plain import REMOVED, Row, keep
from tests.tables import TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, p_less_norm: bool) -> Row:
    """What is at least as likely as `(n * sum p^2 - 1) / (n - 1)`, times S^2 (n - 1)."""
    best = max(x)
    masses = [math.exp(value - best) for value in x]
    total, squares = math.fsum(masses), math.fsum(mass * mass for mass in masses)
    n = sum(value > REMOVED for value in x)
    return keep(x, lambda t: masses[t] * total * (n - 1) >= n * squares - total * total)


TABLE = [
    # (4 * 0.3 - 1) / 3 = 1 / 15, 15 more: (4 * 0.305 - 1) / 3 = 0.0733
    cut("just below the last", True, logs(0.4, 0.3, 0.2, 0.1), 0, 1, 2, 3),
    cut("just above the last", True, logs(0.4, 0.3, 0.23, 0.07), 0, 1, 2),
    # n c = 5 * 0.2825, c - 1 = 0.4125 / 4 = 0.103
    cut("lower than p_less, which removes three", True, TENTHS, 0, 1, 2),
    cut("all tied: the threshold is 0", True, [7, 7, 7], 0, 1, 2),
    cut("tied at the top", True, [7, 7, 7, -90, X], 0, 1, 2),
    cut("removed tokens don't count", True, [X, *logs(0.4, 0.3, 0.23, 0.07), X], 1, 2, 3),
    cut("two tokens: p >= 2 c - 1", True, logs(0.8, 0.2), 0),
    cut("two tokens, just below the second", True, logs(0.74, 0.26), 0, 1),
    cut("one candidate", True, [X, -7], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
