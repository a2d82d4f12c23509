"""The stage `suppress_tokens`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban
from tests.tables import X, case, table_tests


def reference(x: Row, *, suppress_tokens: Sequence[int]) -> Row:
    """Not these."""
    return ban(x, suppress_tokens)


TABLE = [
    case("two", (0, 2), [4, 3, 2, 1], [X, 3, X, 1]),
    case("other vocabulary", (0, 9), [4, 3], [X, 3]),
    case("all: the best stays", (0, 1, 2), [1, 3, 2], [X, 3, X]),
    case("all: those tied for the best stay", (0, 1, 2), [3, 3, 2], [3, 3, X]),
    case("all that is left", (1,), [X, 3, X], [X, 3, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
