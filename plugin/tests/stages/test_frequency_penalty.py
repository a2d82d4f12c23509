"""The stage `frequency_penalty`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, frequency_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x - count * f`, counted in the output."""
    return [value - output.count(token) * frequency_penalty for token, value in enumerate(x)]


TABLE = [
    case("each time", 0.5, [4, 3, 2, 1], [3.5, 1.5, 2, 1], (), [1, 0, 1, 1]),
    case("the prompt doesn't count", 0.5, [4, 3], [4, 2.5], [0, 0, 1], [1]),
    case("negative: a reward", -2, [4, 3], [4, 7], (), [1, 1]),
    case("removed stays", 2, [4, X], [4, X], (), [1, 1]),
    case("no output", 2, [4, 3], [4, 3], [0, 1]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
