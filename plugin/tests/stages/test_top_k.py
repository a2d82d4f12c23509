"""The stage `top_k`: definition and table of numbers."""

from tests.plain import Row, keep
from tests.tables import X, cut, table_tests


def reference(x: Row, *, top_k: int) -> Row:
    """The k largest, and what is tied with the k-th."""
    last = sorted(x, reverse=True)[:top_k][-1]
    return keep(x, lambda token: x[token] >= last)


TABLE = [
    cut("one", 1, [1, 3, 2], 1),
    cut("two", 2, [1, 3, 2], 1, 2),
    cut("all three", 3, [1, 3, 2], 0, 1, 2),
    cut("more than there are", 4, [1, 3, 2], 0, 1, 2),
    cut("the largest number allowed", 2**31 - 1, [1, X, 2], 0, 2),
    cut("ties with the last stay", 2, [2, 3, 2, 1, 2], 0, 1, 2, 4),
    cut("ties above the last don't count twice", 2, [3, 3, 2], 0, 1),
    cut("ties at the top", 1, [3, 3, 2], 0, 1),
    cut("removed tokens don't come back", 3, [1, X, X, 2], 0, 3),
    cut("negative zero ties with zero", 1, [-0.0, 0.0, -1], 0, 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
