"""The stage `repetition_penalty`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row
from tests.tables import X, case, table_tests


def reference(
    x: Row,
    *,
    repetition_penalty: float,
    repetition_range: int,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """`x / r` if x > 0, else `x * r`, once for each distinct token of the last `range` ones."""
    r, seen = repetition_penalty, {*[*prompt, *output][-repetition_range:]}
    return [
        value if token not in seen else value / r if value > 0 else value * r
        for token, value in enumerate(x)
    ]


TABLE = [
    case("nothing seen", 2, [4, -4], [4, -4]),
    case("the prompt counts", 2, [4, -4, 1], [2, -8, 1], [0, 1]),
    case("the output counts", 2, [4, -4, 1], [2, -8, 1], (), [0, 1]),
    case("once each", 2, [4, -4, 1], [2, -8, 1], [0, 0, 1], [1, 0]),
    case("below one: a reward", 0.5, [4, -4], [8, -2], [0], [1]),
    case("zero and removed stay", 2, [0, X, 1], [0, X, 1], [0, 1]),
    *(
        case(
            f"the last {window} of three",
            2.0,
            [4, 4, 4, 4],
            after,
            [0, 1],
            [2],
            repetition_range=window,
        )
        for window, after in (
            *((0, [2, 2, 2, 4]), (1, [4, 4, 2, 4]), (2, [4, 2, 2, 4]), (3, [2, 2, 2, 4])),
            (2**31 - 1, [2, 2, 2, 4]),
        )
    ),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
