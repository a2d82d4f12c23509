"""A stage's table of numbers: rows before and after it, on both sides of every boundary."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from temperament.stages import BY_NAME
from tests import reference, rows
from tests.plain import Row, RowContext

Numbers = Sequence[float]

X = -math.inf  # a removed token


def logs(*probabilities: float) -> list[float]:
    """Returns logits with these probabilities."""
    return [math.log(p) if p else X for p in probabilities]


# One half, then halves of the rest: every sum of these is exact in binary.
HALVES = logs(0.5, 0.25, 0.125, 0.0625, 0.0625)
TENTHS = logs(0.4, 0.3, 0.15, 0.1, 0.05)
QUARTERS = logs(0.5, 0.25, 0.25)
SIX = [6, 5, 4, 3, 2, 1]

# A vocabulary of six tokens, of which the last ends a text and has no bytes.
WORDS = RowContext(ends=(5,), tokens=(b"a", b"b", b"ab", b"\n", b"x", b""))


class Case(NamedTuple):
    """One row before and after a stage. `value` is the value of the stage's first parameter."""

    why: str
    value: Any
    before: Numbers
    after: Numbers
    prompt: Sequence[int]
    output: Sequence[int]
    context: RowContext
    # the values of the stage's other parameters, by name; those left out have their defaults
    others: Mapping[str, Any]


def case(
    why: str,
    value: Any,
    before: Numbers,
    after: Numbers,
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    context: RowContext = WORDS,
    **others: Any,
) -> Case:
    """Returns the case that `before` becomes `after`."""
    return Case(why, value, before, after, prompt, output, context, others)


def cut(why: str, value: Any, before: Numbers, *tokens: int, **others: Any) -> Case:
    """Returns the case that only these tokens stay, with their logits."""
    return case(why, value, before, kept(before, *tokens), **others)


def kept(before: Numbers, *tokens: int) -> list[float]:
    """Returns `before` with all but these tokens removed."""
    return [x if token in tokens else X for token, x in enumerate(before)]


TableTest = Callable[[Case], None]


def table_tests(definition: Callable[..., Row], table: Sequence[Case]) -> tuple[TableTest, ...]:
    """Returns the tests of one stage's table: of the op, and of the definition beside the table.

    The stage is the one that the definition's module is named after.
    """
    stage = reference.stage_of(definition)
    first = BY_NAME[stage].parameters[0].name
    each_case = pytest.mark.parametrize(
        "case", table, ids=[f"{stage}-{case.value}: {case.why}" for case in table]
    )

    @each_case
    def test_the_op(case: Case) -> None:
        """The op keeps the table's tokens; their logits differ in the last bits at most."""
        values = {first: case.value, **case.others}
        actual = rows.apply(case.before, values, case.prompt, case.output, case.context)

        assert pytest.approx(case.after, rel=1e-6, abs=0) == actual

    @each_case
    def test_the_reference(case: Case) -> None:
        """The reference gives the table's numbers, as far as float32 can hold them.

        A token more than 1e30 below the best counts as removed.
        """
        chain = rows.preset({first: case.value, **case.others}).chain
        actual = reference.chain(list(case.before), chain, case.prompt, case.output, case.context)

        best, expected_best = max(actual), max(case.after)
        if abs(best - expected_best) > 1e30 or min(x for x in actual if x > X) < -1e30:
            actual = [x - best + expected_best if best - x < 1e30 else X for x in actual]
        assert pytest.approx(case.after, rel=1e-6, abs=0) == actual

    return test_the_op, test_the_reference
