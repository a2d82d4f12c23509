"""The stage `presence_penalty`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, presence_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x - q` for what stands in the output."""
    return [value - (token in output) * presence_penalty for token, value in enumerate(x)]


TABLE = [
    case("once", 0.5, [4, 3, 2], [3.5, 2.5, 2], (), [1, 0, 1, 1]),
    case("the prompt doesn't count", 0.5, [4, 3], [4, 2.5], [0, 1], [1]),
    case("negative: a reward", -2, [4, 3], [4, 5], (), [1, 1]),
    case("removed stays", 2, [4, X], [4, X], (), [1]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
