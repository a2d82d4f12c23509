"""The stage `allowed_token_ids`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban
from tests.tables import X, case, table_tests


def reference(x: Row, *, allowed_token_ids: Sequence[int]) -> Row:
    """No others."""
    return ban(x, set(range(len(x))) - set(allowed_token_ids))


TABLE = [
    case("two", (1, 3), [4, 3, 2, 1], [X, 3, X, 1]),
    case("-inf stays", (0, 1), [X, 3, 2], [X, 3, X]),
    case("none of them is left: the best", (1,), [4, X, 2], [4, X, X]),
    case("none of them is known: the best", (9,), [1, 3, 2], [X, 3, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
