"""The stage `tfs`: definition and table of numbers."""

import math

from tests.plain import Row, keep, ranked, softmax
from tests.tables import X, cut, logs, table_tests


def reference(x: Row, *, tfs: float) -> Row:
    """While the second differences up to the token's own are at most z of them all."""
    order = ranked(x)
    p = softmax(x)
    bends = [
        abs(p[a] - 2 * p[b] + p[c]) for a, b, c in zip(order, order[1:], order[2:], strict=False)
    ]
    total = math.fsum(bends)
    if total <= 1e-12 * max(p):
        return x
    last = order[0]
    for token, place in zip(order[1:], range(1, len(order)), strict=False):
        if math.fsum(bends[:place]) > tfs * total:
            break
        last = token
    return keep(x, lambda token: x[token] >= x[last])


BENT = logs(0.4, 0.3, 0.15, 0.1, 0.05)


TABLE = [
    cut("just below the first bend", 0.33, BENT, 0),
    cut("just above the first bend", 0.34, BENT, 0, 1),
    cut("nearly all: the end goes", 0.999, logs(0.5, 0.3, 0.15, 0.04, 0.01), 0, 1, 2),
    cut("three candidates, one bend", 0.999, logs(0.6, 0.3, 0.1), 0),
    cut("three candidates, a tie", 0.999, [3, 3, 1], 0, 1),
    cut("unsorted", 0.34, [BENT[2], BENT[4], BENT[0], BENT[3], BENT[1]], 2, 4),
    cut("removed tokens are no tail", 0.34, [*BENT, X, X, X], 0, 1),
    cut("all tied: nothing bends", 0.1, [7, 7, 7, X], 0, 1, 2),
    cut("as good as tied", 0.1, [3e-14, 1e-14, 0], 0, 1, 2),
    cut("two candidates: nothing", 0.1, [X, 7, 5], 1, 2),
    cut("one candidate", 0.1, [X, 7, X], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
