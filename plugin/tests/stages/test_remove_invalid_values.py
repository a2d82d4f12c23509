"""The stage `remove_invalid_values`: definition and table of numbers."""

import math

from temperament.stages import FLOAT32_MAX
from tests.plain import Row
from tests.tables import X, case, table_tests


def reference(x: Row, *, remove_invalid_values: bool) -> Row:
    """NaN becomes 0, +inf the largest number of float32."""
    return [0.0 if math.isnan(value) else min(value, FLOAT32_MAX) for value in x]


TABLE = [
    case("NaN", True, [math.nan, 1, X], [0, 1, X]),
    case("infinity", True, [math.inf, 1, X], [FLOAT32_MAX, 1, X]),
    case("nothing to remove", True, [3, -0.0, X], [3, -0.0, X]),
    case("NaN alone", True, [math.nan] * 2, [0, 0]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
