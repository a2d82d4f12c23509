"""The stage `bad_words_ids`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban, continues
from tests.tables import X, case, table_tests


def reference(
    x: Row, *, bad_words_ids: Sequence[Sequence[int]], prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not the last token of a sequence that stands there but for it."""
    history = [*prompt, *output]
    return ban(x, {word[-1] for word in bad_words_ids if continues(history, word)})


TABLE = [
    case("a word of one token", ((1,),), [4, 3], [4, X]),
    case("would be completed", ((0, 2, 1),), [4, 3], [4, X], [1, 0, 2]),
    case("begun in the prompt", ((0, 2, 1),), [4, 3], [4, X], [0], [2]),
    case("begins otherwise", ((0, 2, 1),), [4, 3], [4, 3], [1, 2]),
    case("longer than the text", ((2, 2, 1),), [4, 3], [4, 3], [2]),
    case("as long as the text", ((2, 1),), [4, 3], [4, X], [2]),
    case("two with one end", ((0, 1), (2, 1)), [4, 3], [4, X], [2]),
    case("all: the best stays", ((0,), (1,)), [4, 3], [4, X]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
