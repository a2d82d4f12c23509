"""The stage `exponential_decay_length_penalty`: definition and table of numbers."""

from collections.abc import Sequence

from temperament.stages import FLOAT32_MAX
from tests.plain import REMOVED, Row, power
from tests.tables import SIX, X, case, table_tests


def reference(
    x: Row,
    *,
    exponential_decay_length_penalty: float,
    exponential_decay_start: int,
    prompt: Sequence[int],
    output: Sequence[int],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """`x + |x| (f^(n - s) - 1)` for the end, n > s."""
    past = len(output) - exponential_decay_start
    if past <= 0:
        return x
    growth = power(exponential_decay_length_penalty, past) - 1
    return [
        value
        if token not in ends or value in (0, REMOVED)
        else max(-FLOAT32_MAX, min(value + abs(value) * growth, FLOAT32_MAX))
        for token, value in enumerate(x)
    ]


TABLE = [
    *(
        case(
            f"{factor}^{length - 1}",
            factor,
            [*SIX[:5], before],
            [*SIX[:5], after],
            output=[0] * length,
            exponential_decay_start=1,
        )
        for factor, length, before, after in (
            *((2.0, 1, 4, 4), (2.0, 2, 4, 8), (2.0, 3, 4, 16), (2.0, 3, -4, 8), (2.0, 3, 0, 0)),
            *((0.5, 2, 4, 2), (0.5, 2, -4, -6), (2.0, 9, X, X), (2.0, 999, 0, 0)),
            *((2.0, 999, 4, FLOAT32_MAX), (2.0, 999, -4, FLOAT32_MAX)),
        )
    ),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
