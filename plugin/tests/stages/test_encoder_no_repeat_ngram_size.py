"""The stage `encoder_no_repeat_ngram_size`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban, followers
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, encoder_no_repeat_ngram_size: int, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not what would make an n-gram of the prompt stand once more."""
    return ban(x, followers(prompt, [*prompt, *output], encoder_no_repeat_ngram_size - 1))


TABLE = [
    case("a pair", 2, [4, 3, 2], [4, X, 2], [0, 1, 2], [0]),
    case("the output's own", 2, [4, 3], [4, 3], [2], [0, 1, 0]),
    case("begun in the prompt", 2, [4, 3], [4, X], [0, 1, 0]),
    case("one", 1, [4, 3, 2], [X, X, 2], [0, 1], [2]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
