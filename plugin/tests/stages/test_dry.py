"""The stage `dry`: definition and table of numbers."""

from collections.abc import Sequence
from typing import Any

from temperament.stages import FLOAT32_MAX
from tests.plain import REMOVED, Row, completes, power, spelt
from tests.tables import SIX, Case, X, case, table_tests


def reference(
    x: Row,
    *,
    dry_multiplier: float,
    dry_base: float,
    dry_allowed_length: int,
    dry_range: int,
    dry_sequence_breakers: Sequence[str],
    dry_protect_ends: bool,
    prompt: Sequence[int],
    output: Sequence[int],
    tokens: Sequence[bytes],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """`x - m b^(L - a)` for what would go on with a match of L >= a tokens, the longest one."""
    spared = ends if dry_protect_ends else ()

    def breaks(token: int, before: bytes) -> bool:
        known = tokens[token] if 0 <= token < len(tokens) else b""
        return bool(known) and completes(before, known, dry_sequence_breakers)

    history = [*prompt, *output]
    *before, text = spelt(history, tokens)
    start = max(0, len(history) - dry_range) if dry_range else 0
    broken = [place for place, token in enumerate(history) if breaks(token, before[place])]
    longest = len(history) - 1 - max([start - 1, *broken])
    lengths: dict[int, int] = {}
    for place in range(start, len(history)):
        length = 0
        while (
            length < longest
            and place - length > start
            and history[place - length - 1] == history[len(history) - length - 1]
        ):
            length += 1
        token = history[place]
        lengths[token] = max(length, lengths.get(token, 0))
    after = list(x)
    for token, length in lengths.items():
        if token in spared:
            continue
        if 0 <= token < len(x) and length >= dry_allowed_length and not breaks(token, text):
            loss = dry_multiplier * power(dry_base, length - dry_allowed_length)
            if x[token] > REMOVED:
                after[token] = max(x[token] - loss, -FLOAT32_MAX)
    return after


def match(
    why: str, history: Sequence[int], losses: dict[int, float], allowed: int = 2, **values: Any
) -> Case:
    """Multiplier 1, base 2 and no breakers unless `values` has some; the loss of each token."""
    after = [x - losses.get(token, 0) for token, x in enumerate(SIX)]
    values = {"dry_base": 2.0, "dry_sequence_breakers": (), **values}
    return case(why, 1.0, SIX, after, history, dry_allowed_length=allowed, **values)


TABLE = [
    match("a match of one, two allowed", [1, 0, 2, 0], {}),
    match("a match of one, one allowed", [1, 0, 2, 0], {2: 1}, allowed=1),
    match("a match of two", [0, 1, 2, 0, 1], {2: 1}),
    match("a match of three", [3, 0, 1, 2, 3, 0, 1], {2: 2}),
    match("a match of three, one allowed", [3, 0, 1, 2, 3, 0, 1], {2: 4}, allowed=1),
    match("the longest counts", [0, 1, 2, 3, 1, 2, 3, 0, 1, 2], {3: 2}),
    match("into itself", [0, 0, 0, 0], {0: 2}),
    match("a base of one", [0, 0, 0, 0], {0: 1}, dry_base=1.0),
    match("a range with room for two", [4, 0, 1, 2, 4, 0, 1], {2: 1}, dry_range=6),
    match("a range with room for three", [4, 0, 1, 2, 4, 0, 1], {2: 2}, dry_range=7),
    match("a range that ends before it", [4, 0, 1, 2, 4, 0, 1], {}, dry_range=4),
    match("a range shorter than any match", [0, 0, 0, 0], {}, dry_range=2),
    match("a breaker in it", [0, 3, 1, 2, 0, 3, 1], {2: 1}, 1, dry_sequence_breakers=("\n",)),
    match("a breaker before it", [3, 0, 1, 2, 3, 0, 1], {2: 1}, dry_sequence_breakers=("\n",)),
    match("a breaker at the end", [0, 3, 1, 0, 3], {}, 1, dry_sequence_breakers=("\n",)),
    match("a breaker next costs nothing", [0, 1, 3, 0, 1], {}, dry_sequence_breakers=("\n",)),
    match("a breaker of two tokens", [1, 3, 4, 1, 3], {}, 1, dry_sequence_breakers=("b\n",)),
    match("half a breaker", [4, 3, 2, 4, 3], {2: 1}, dry_sequence_breakers=("b\n",)),
    match("a breaker inside a token", [1, 2, 4, 1, 2], {}, dry_sequence_breakers=("a",)),
    match(
        "an end of text breaks a breaker",
        [1, 5, 3, 2, 5, 3],
        {2: 1},
        2,
        dry_sequence_breakers=("b\n",),
    ),
    match("the end of the text costs nothing", [0, 1, 5, 0, 1], {}),
    match("unless the row says so", [0, 1, 5, 0, 1], {5: 1}, dry_protect_ends=False),
    match("it goes on with a match", [0, 5, 1, 2, 0, 5, 1], {2: 2}),
    match("nothing yet", [], {}, 1),
    match("one token", [0], {}, 1),
    case("-inf stays", 1.0, [X, 1], [X, 1], [0, 0, 0, 0], dry_sequence_breakers=()),
    match("a long one", [0] * 20, {0: 2**34}, dry_base=4.0),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
