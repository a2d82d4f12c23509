"""The stage `smoothing`: definition and table of numbers."""

from tests.plain import REMOVED, Row
from tests.tables import Case, Numbers, X, case, table_tests


def reference(x: Row, *, smoothing_factor: float, smoothing_curve: float) -> Row:
    """`max - k f d^2 + s f d^3`."""
    k, s = (3 - smoothing_curve) / 2, (smoothing_curve - 1) / 2
    best = max(x)
    fall = [-k * (value - best) ** 2 + s * (value - best) ** 3 for value in x]
    return [
        REMOVED if value == REMOVED else best + smoothing_factor * change
        for value, change in zip(x, fall, strict=True)
    ]


def smoothing(why: str, factor: float, curve: float, before: Numbers, after: Numbers) -> Case:
    """A factor and a curve."""
    return case(why, factor, before, after, smoothing_curve=curve)


TABLE = [
    smoothing("the square", 0.5, 1, [3, 2, 1, X], [3, 2.5, 1, X]),
    smoothing("square and cube", 1, 2, [3, 2, 1, X], [3, 2, -3, X]),
    smoothing("the cube alone", 1, 3, [3, 2, 1, X], [3, 2, -5, X]),
    smoothing("above 3 the second can rise above the first", 1, 4, [1, 0.75], [1, 1.0078125]),
    smoothing("ties stay ties", 0.5, 1, [3, 3, 1], [3, 3, 1]),
    smoothing("one candidate", 5, 1, [X, 3], [X, 3]),
    smoothing("no infinities meet", 1e38, 10, [0, -1e38, X], [0, X, X]),
    smoothing("nor without the cube", 1e38, 1, [0, -1e38, X], [0, X, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
