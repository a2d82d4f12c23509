"""The stage `min_new_tokens`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban
from tests.tables import SIX, X, case, table_tests


def reference(
    x: Row,
    *,
    min_new_tokens: int,
    prompt: Sequence[int],
    output: Sequence[int],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """No end before n tokens."""
    return ban(x, ends) if len(output) < min_new_tokens else x


TABLE = [
    case("one too few", 2, SIX, [*SIX[:5], X], [0, 0], [0]),
    case("enough", 2, SIX, SIX, [], [0, 0]),
    case("nothing but the end is left", 2, [X] * 5 + [1], [X] * 5 + [1]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
