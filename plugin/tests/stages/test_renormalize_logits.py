"""The stage `renormalize_logits`: definition and table of numbers."""

import math

from tests.plain import Row
from tests.tables import QUARTERS, X, case, logs, table_tests


def reference(x: Row, *, renormalize_logits: bool) -> Row:
    """Log-probabilities."""
    best = max(x)
    total = math.fsum(math.exp(value - best) for value in x)
    return [value - best - math.log(total) for value in x]


TABLE = [
    case("log-probabilities", True, [5, 5, X], [*logs(0.5, 0.5), X]),
    case("already so", True, QUARTERS, QUARTERS),
    case("one candidate", True, [X, 7], [X, 0]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
