"""The stage `logit_bias`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row
from tests.tables import X, case, table_tests


def reference(x: Row, *, logit_bias: Sequence[tuple[int, float]]) -> Row:
    """`x + b` for the tokens that are named."""
    biases = dict(logit_bias)
    return [value + biases.get(token, 0.0) for token, value in enumerate(x)]


TABLE = [
    case("adds", ((0, 1.5), (2, -2.0)), [1, 2, 3], [2.5, 2, 1]),
    case("-inf stays", ((1, 100.0),), [1, X], [1, X]),
    case("other vocabulary", ((1, 1.0), (9, 5.0)), [1, 2], [1, 3]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
