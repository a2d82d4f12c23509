"""The stage `top_a`: definition and table of numbers."""

from tests.plain import Row, at_least, softmax
from tests.tables import TENTHS, X, cut, logs, table_tests


def reference(x: Row, *, top_a: float) -> Row:
    """What has at least a times the square of the largest probability."""
    return at_least(x, top_a * max(softmax(x)) ** 2)


TABLE = [
    cut("just below the third", 0.937, TENTHS, 0, 1, 2),
    cut("just above the third", 0.938, TENTHS, 0, 1),
    cut("just below the last", 0.312, TENTHS, 0, 1, 2, 3, 4),
    cut("just above the last", 0.313, TENTHS, 0, 1, 2, 3),
    cut("one: what has less than the square", 1, logs(0.9, 0.1), 0),
    cut("one, all tied", 1, [3, 3], 0, 1),
    cut("one candidate", 1, [X, -5, X], 1),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
