"""The stage `xtc`: definition and table of numbers."""

from collections.abc import Sequence
from typing import Any

from tests.plain import REMOVED, Row, keep, softmax, uniform
from tests.tables import WORDS, Case, Numbers, X, case, kept, logs, table_tests


def reference(
    x: Row,
    *,
    xtc_probability: float,
    xtc_threshold: float,
    xtc_protected: Sequence[int],
    xtc_protect_structure: bool,
    seed: int,
    position: int,
    ends: Sequence[int],
    limit: int,
    tokens: Sequence[bytes],
) -> Row:
    """If the roll says so: of those with `p >= t` the least likely, and what is protected."""
    p = softmax(x)
    top = [token for token in range(len(x)) if p[token] >= xtc_threshold and x[token] > REMOVED]
    if uniform(seed, position, 1) >= xtc_probability or not top:
        return x
    spared = set(xtc_protected)
    if xtc_protect_structure:
        spared |= {*ends, *(i for i, token in enumerate(tokens) if b"\n" in token)}
    least = min(x[token] for token in top)
    return keep(x, lambda token: token not in top or token in spared or x[token] == least)


SEED = 7
ROLL = uniform(SEED, 0, 1)


def exclude(
    why: str, threshold: float, before: Numbers, *tokens: int, p: float = 1.0, **values: Any
) -> Case:
    """The roll always succeeds and nothing is protected, unless `values` say so."""
    values = {"xtc_threshold": threshold, "xtc_protect_structure": False, **values}
    context = WORDS._replace(seed=SEED)
    return case(why, p, before, kept(before, *tokens), context=context, **values)


TABLE = [
    exclude("just below the third", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 2, 3),
    exclude("just above the third", 0.2001, logs(0.4, 0.3, 0.2, 0.1), 1, 2, 3),
    exclude("just above the second: nothing", 0.3001, logs(0.4, 0.3, 0.2, 0.1), 0, 1, 2, 3),
    exclude("exactly", 0.25, logs(0.5, 0.25, 0.25), 1, 2),
    exclude("tied for the least likely: all stay", 0.1, logs(0.25, 0.25, 0.25, 0.25), 0, 1, 2, 3),
    exclude("no threshold: the least likely", 0.0, [X, 3, 2, -900], 3),
    exclude("over what is left", 0.3, [X, *logs(0.3, 0.2), X], 2),
    exclude("the roll is just above", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 0, 1, 2, 3, p=ROLL - 1e-6),
    exclude("the roll is just below", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 2, 3, p=ROLL + 1e-6),
    exclude("a protected token", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 0, 2, 3, xtc_protected=(0,)),
    exclude(
        "a protected token is the least likely",
        0.1999,
        logs(0.4, 0.3, 0.2, 0.1),
        2,
        3,
        xtc_protected=(2,),
    ),
    exclude(
        "newlines and ends",
        0.05,
        logs(0.1, 0.1, 0.1, 0.3, 0.1, 0.3),
        *range(6),
        xtc_protect_structure=True,
    ),
    exclude(
        "a newline, not the end",
        0.05,
        logs(0.1, 0.1, 0.1, 0.2, 0.3, 0.2),
        0,
        1,
        2,
        3,
        5,
        xtc_protect_structure=True,
    ),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
