"""The stage `temperature`: definition and table of numbers."""

from tests.plain import Row, keep
from tests.tables import X, case, table_tests


def reference(x: Row, *, temperature: float) -> Row:
    """`x / T`; 0 keeps the first of the largest."""
    if temperature == 0:
        best = x.index(max(x))
        return keep(x, lambda token: token == best)
    return [value / temperature for value in x]


TABLE = [
    case("halves divide exactly", 0.5, [2, 1.5, 0, -1, X], [4, 3, 0, -2, X]),
    case("flatter", 2, [2, 1.5, 0, -1, X], [1, 0.75, 0, -0.5, X]),
    case("greedy", 0, [1, 3, 2], [X, 3, X]),
    case("greedy, a tie: the lowest id", 0, [1, 3, 2, 3], [X, 3, X, X]),
    case("greedy, all tied", 0, [7, 7, 7], [7, X, X]),
    case("greedy, all but one removed", 0, [X, X, -9], [X, X, -9]),
    case("greedy, negative zero ties with zero", 0, [-1, -0.0, 0.0], [X, -0.0, X]),
    case("one candidate stays", 0.3, [X, 3, X], [X, 10, X]),
    case("nearly greedy", 1e-6, [1, 1, 0.5], [1e6, 1e6, 0.5e6]),
    case("nearly uniform", 1e6, [20, -20, X], [2e-5, -2e-5, X]),
    case("the best stays finite", 1e-38, [60, 60, 20], [0, 0, X]),
    case("the best stays finite", 1e-45, [-60, -60, -61, X], [0, 0, X, X]),
    case("the flattest of all", 3.4e38, [3.4, 0, X], [1e-38, 0, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
