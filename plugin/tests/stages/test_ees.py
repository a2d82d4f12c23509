"""The stage `ees`: definition and table of numbers."""

import math

from tests.plain import Row, keep, nats, ranked, softmax
from tests.tables import HALVES, TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, ees: bool) -> Row:
    """Up to the rank before the first whose tokens have more mass than normalised entropy."""
    order, p = ranked(x), softmax(x)
    ranks = range(2, len(order) + 1)
    last = next((rank - 1 for rank in ranks if over(p, order[:rank], len(order))), len(order))
    return keep(x, lambda token: x[token] >= x[order[last - 1]])


def over(p: Row, some: list[int], left: int) -> bool:
    """Whether some tokens have more of the mass than of the entropy of as many equal ones."""
    mass = math.fsum(p[token] for token in some)
    evenness = nats([p[token] / mass for token in some]) / math.log(len(some))
    return evenness < (mass if len(some) < left else 1.0)


TABLE = [
    # Two tokens of which one is twice as likely have 0.9183 of ln 2.
    cut("just more mass than that", True, logs(0.613, 0.3065, 0.0805), 0),
    cut("just less mass than that", True, logs(0.611, 0.3055, 0.0835), 0, 1),
    # 0.870 of ln 3 and 0.875
    cut("the third has more", True, HALVES, 0, 1),
    # 0.936 of ln 3 and 0.85; 0.906 of ln 4 and 0.95
    cut("the fourth has more", True, TENTHS, 0, 1, 2),
    cut("the order of the tokens doesn't matter", True, logs(0.1, 0.4, 0.15, 0.3, 0.05), 1, 2, 3),
    cut("removed tokens don't count", True, [X, *TENTHS, X], 1, 2, 3),
    cut("two tokens: the first alone", True, logs(0.51, 0.49), 0),
    cut("tied with the last kept one", True, logs(0.5, 0.2, 0.2, 0.1), 0, 1, 2),
    cut("all tied", True, [7, 7, 7], 0, 1, 2),
    cut("tied at the top", True, [7, 7, 7, -90, X], 0, 1, 2),
    cut("nearly tied: the last goes", True, [0.0, 0.0, -1e-6], 0, 1),
    cut("one candidate", True, [X, -7], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
