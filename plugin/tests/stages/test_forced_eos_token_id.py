"""The stage `forced_eos_token_id`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import REMOVED, Row, RowContext, ban
from tests.tables import X, case, table_tests


def reference(
    x: Row,
    *,
    forced_eos_token_id: Sequence[int],
    prompt: Sequence[int],
    output: Sequence[int],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """One of these, with equal odds, if it is the last that the limit allows."""
    if len(output) + 1 != limit:
        return x
    left = ban(x, set(range(len(x))) - set(forced_eos_token_id))
    return [value if value == REMOVED else 0.0 for value in left]


TABLE = [
    *(
        case(
            f"{generated} of {limit}",
            (1, 2),
            [4, 3, 2],
            [X, 0, 0] if forced else [4, 3, 2],
            output=[0] * generated,
            context=RowContext(limit=limit),
        )
        for generated, limit, forced in (
            *((0, 1, True), (1, 3, False), (2, 3, True), (3, 3, False), (0, -1, False)),
        )
    ),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
