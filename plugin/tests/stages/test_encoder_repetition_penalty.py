"""The stage `encoder_repetition_penalty`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, encoder_repetition_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x * r` if x > 0, else `x / r`, once for each distinct token of the prompt."""
    r = encoder_repetition_penalty
    return [
        value if token not in prompt else value * r if value > 0 else value / r
        for token, value in enumerate(x)
    ]


TABLE = [
    case("the prompt", 2, [4, -4, 1], [8, -2, 1], [0, 1, 0], [2]),
    case("below one", 0.5, [4, -4], [2, -8], [0, 1]),
    case("-inf stays", 2, [4, X], [4, X], [1]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
