"""The stage `no_repeat_ngram_size`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban, followers
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, no_repeat_ngram_size: int, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not what would make an n-gram stand twice."""
    history = [*prompt, *output]
    return ban(x, followers(history, history, no_repeat_ngram_size - 1))


TABLE = [
    case("what was seen", 1, [4, 3, 2], [X, X, 2], [1], [0]),
    case("a pair", 2, [4, 3, 2], [4, X, 2], [0, 1, 2, 0]),
    case("over the end of the prompt", 2, [4, 3], [4, X], [0], [1, 0]),
    case("two pairs", 2, [4, 3, 2], [4, X, X], [0, 1, 0, 2, 0]),
    case("three", 3, [4, 3, 2], [4, 3, X], [0, 1, 2, 0, 1]),
    case("two of three", 3, [4, 3, 2], [4, 3, 2], [1, 1, 2, 0, 1]),
    case("into itself", 3, [4, 3], [X, 3], [], [0, 0, 0]),
    case("longer than the text", 5, [4, 3], [4, 3], [0, 0, 0]),
    case("all: the best stays", 1, [4, 3], [4, X], [0, 1]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
