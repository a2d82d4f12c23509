"""The stage `reproducible`: definition and table of numbers."""

from tests.plain import Row, RowContext, gumbel, keep
from tests.tables import X, case, table_tests


def reference(x: Row, *, reproducible: bool, seed: int, position: int) -> Row:
    """The largest of `x + g` alone."""
    noisy = [value + gumbel(seed, position, 2, token) for token, value in enumerate(x)]
    best = max(noisy)
    return keep(x, lambda token: noisy[token] == best)


SEED = 7
NOISE = [gumbel(SEED, 0, 2, token) for token in range(2)]


TABLE = [
    case("one candidate", True, [X, -7, X], [X, -7, X]),
    case(
        "the noise is just smaller",
        True,
        [0, NOISE[0] - NOISE[1] - 1e-5],
        [0, X],
        context=RowContext(SEED),
    ),
    case(
        "the noise is just larger",
        True,
        [0, NOISE[0] - NOISE[1] + 1e-5],
        [X, NOISE[0] - NOISE[1] + 1e-5],
        context=RowContext(SEED),
    ),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
