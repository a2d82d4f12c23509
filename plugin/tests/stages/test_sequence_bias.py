"""The stage `sequence_bias`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, continues
from tests.tables import X, case, table_tests


def reference(
    x: Row,
    *,
    sequence_bias: Sequence[tuple[Sequence[int], float]],
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """`x + b` for the last token of each sequence that stands there but for it."""
    after = list(x)
    for sequence, bias in sequence_bias:
        if continues([*prompt, *output], sequence):
            after[sequence[-1]] += bias
    return after


TABLE = [
    case("one token", (((1,), 1.5),), [4, 3], [4, 4.5]),
    case("would be completed", (((0, 1), -2.0),), [4, 3], [4, 1], [], [0]),
    case("begins otherwise", (((0, 1), -2.0),), [4, 3], [4, 3], [0], [1]),
    case("they add up", (((0, 1), 1.0), ((1,), 2.0)), [4, 3], [4, 6], [0]),
    case("-inf stays", (((1,), 100.0),), [4, X], [4, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
