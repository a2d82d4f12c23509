"""The stage `banned_strings`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import Row, ban, completes, spelt
from tests.tables import SIX, X, case, table_tests


def reference(
    x: Row,
    *,
    banned_strings: Sequence[str],
    prompt: Sequence[int],
    output: Sequence[int],
    tokens: Sequence[bytes],
) -> Row:
    """Not a token within which one of the texts would end."""
    *_, text = spelt(output, tokens)
    return ban(
        x, {i for i, token in enumerate(tokens) if token and completes(text, token, banned_strings)}
    )


TABLE = [
    case("one character", ("a",), SIX, [X, 5, X, 3, 2, 1]),
    case("inside a token", ("ab",), SIX, [6, 5, X, 3, 2, 1]),
    case("would be completed", ("ab",), SIX, [6, X, X, 3, 2, 1], [], [0]),
    case("the prompt begins nothing", ("ab",), SIX, [6, 5, X, 3, 2, 1], [0]),
    case("an end of text starts anew", ("bb",), SIX, SIX, [], [1, 5]),
    case("begun inside a token", ("bx",), SIX, [6, 5, 4, 3, X, 1], [], [2]),
    case("ends inside a token", ("xa",), SIX, [X, 5, X, 3, 2, 1], [], [4]),
    case("overlaps itself", ("aab",), SIX, [6, X, X, 3, 2, 1], [], [0, 0, 0]),
    case("one in another", ("xab\n", "ab"), SIX, [6, X, X, 3, 2, 1], [], [4, 0]),
    case("no token spells it", ("q",), SIX, SIX),
    case("all: the best stays", ("a",), [6, X, 4], [6, X, X]),
    case("more logits than tokens", ("a",), [*SIX, 9], [X, 5, X, 3, 2, 1, 9]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
