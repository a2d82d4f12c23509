"""The stage `forced_bos_token_id`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, forced_bos_token_id: int, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """This one alone, behind one token."""
    forced = len(prompt) + len(output) == 1 and forced_bos_token_id < len(x)
    return ban(x, set(range(len(x))) - {forced_bos_token_id}) if forced else x


TABLE = [
    case("behind one token", 1, [4, 3, 2], [X, 3, X], [], [0]),
    case("behind a prompt of one", 1, [4, 3, 2], [X, 3, X], [0]),
    case("behind nothing", 1, [4, 3, 2], [4, 3, 2]),
    case("behind two", 1, [4, 3, 2], [4, 3, 2], [0], [0]),
    case("it was removed: the best", 1, [4, X, 2], [4, X, X], [0]),
    case("other vocabulary", 9, [4, 3, 2], [4, 3, 2], [0]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
