"""The stage `p_less`: definition and table of numbers."""

import math

from tests.plain import Row, keep
from tests.tables import HALVES, TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, p_less: bool, p_less_order: float) -> Row:
    """What has at least `(sum p^k)^(1/(k-1))`; at 2 what is as likely as two equal draws."""
    best = max(x)
    distances = [value - best for value in x]
    total = math.fsum(math.exp(d) for d in distances)
    powers = math.fsum(math.exp(p_less_order * d) for d in distances)
    least = (math.log(powers) - math.log(total)) / (p_less_order - 1)
    return keep(x, lambda token: distances[token] >= least)


TABLE = [
    cut("0.336", True, HALVES, 0),
    cut("0.305, just above the second", True, logs(0.45, 0.3, *[0.05] * 5), 0),
    cut("0.308, just below the second", True, logs(0.45, 0.31, *[0.04] * 6), 0, 1),
    cut("all tied", True, [7, 7, 7], 0, 1, 2),
    cut("tied at the top", True, [7, 7, 7, -90, X], 0, 1, 2),
    cut("over what is left", True, [X, *TENTHS], 1, 2),
    cut("one candidate", True, [X, -7], 1),
    cut("order 1.01, 0.273", True, HALVES, 0, p_less_order=1.01),
    cut(
        "order 1.01, 0.2526: lower than 0.255 of order 2",
        True,
        logs(0.3, 0.254, 0.246, 0.2),
        0,
        1,
        p_less_order=1.01,
    ),
    cut("order 3, 0.346, just above the second", True, logs(0.4, 0.33, 0.27), 0, p_less_order=3),
    cut(
        "order 3, 0.338, just below the second", True, logs(0.36, 0.35, 0.29), 0, 1, p_less_order=3
    ),
    cut("order 1e30: the largest", True, logs(0.5, 0.4999, 0.0001), 0, p_less_order=1e30),
    cut("order 1e30, tied at the top", True, [7, 7, 6.9], 0, 1, p_less_order=1e30),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
