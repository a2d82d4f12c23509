"""The stage `top_h`: definition and table of numbers."""

import math

from tests.plain import Row, keep, nats, ranked, softmax
from tests.tables import HALVES, X, cut, table_tests


def reference(x: Row, *, top_h: float) -> Row:
    """Of the top 100, while the tokens' parts of the entropy sum to at most h of it."""
    order = ranked(x)[:100]
    p = softmax([x[token] for token in order])
    parts = [nats([share]) for share in p]
    last = order[0]
    for place, token in enumerate(order):
        if math.fsum(parts[: place + 1]) > top_h * math.fsum(parts):
            break
        last = token
    return keep(x, lambda token: x[token] >= x[last])


TABLE = [
    # Of H = 1.875 ln 2 the tokens have 4/15, 4/15, 3/15, 2/15, 2/15.
    cut("below the first: it stays", 0.1, HALVES, 0),
    cut("just below two", 0.533, HALVES, 0),
    cut("just above two", 0.534, HALVES, 0, 1),
    cut("just below three", 0.733, HALVES, 0, 1),
    cut("just above three", 0.734, HALVES, 0, 1, 2),
    cut("four, and the tie", 0.87, HALVES, 0, 1, 2, 3, 4),
    cut("all of it", 1, HALVES, 0, 1, 2, 3, 4),
    cut("over what is left", 0.534, [X, *HALVES], 1, 2),
    cut("the top hundred alone", 1, [0.0] * 100 + [-1.0] * 50, *range(100)),
    cut("those tied with the hundredth too", 1, [0.0] * 99 + [-1.0] * 9, *range(108)),
    cut("one candidate", 0.1, [X, 7], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
