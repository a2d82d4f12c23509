"""The stage `begin_suppress_tokens`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, begin_suppress_tokens: Sequence[int], prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not these as the first of the output."""
    return x if output else ban(x, begin_suppress_tokens)


TABLE = [
    case("the first", (0,), [4, 3], [X, 3], [1, 1]),
    case("the second", (0,), [4, 3], [4, 3], [1, 1], [1]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
