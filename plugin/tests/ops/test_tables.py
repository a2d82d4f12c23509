"""Every stage as a table of numbers: before, values, after. The reference and the op both hold it.

A new stage adds rows. Values stand on both sides of every boundary.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from temperament.stages import STAGES
from tests import reference, rows

X = -math.inf


class Case(NamedTuple):
    """One row before and after a stage."""

    why: str
    stage: str
    values: dict[str, Any]
    before: Sequence[float]
    after: Sequence[float]
    prompt: Sequence[int] = ()
    output: Sequence[int] = ()


def logs(*probabilities: float) -> list[float]:
    """Logits with these probabilities."""
    return [math.log(p) if p else X for p in probabilities]


# One token more than half, then halves: every sum below is exact in binary.
HALVES = logs(0.5, 0.25, 0.125, 0.0625, 0.0625)
TENTHS = logs(0.4, 0.3, 0.15, 0.1, 0.05)


def kept(before: Sequence[float], *tokens: int) -> list[float]:
    """`before` with these tokens only."""
    return [x if token in tokens else X for token, x in enumerate(before)]


def temperature(why: str, t: float, before: Sequence[float], after: Sequence[float]) -> Case:
    return Case(f"T {t}: {why}", "temperature", {"temperature": t}, before, after)


def top_k(why: str, k: int, before: Sequence[float], *tokens: int) -> Case:
    return Case(f"k {k}: {why}", "top_k", {"top_k": k}, before, kept(before, *tokens))


def top_p(why: str, p: float, before: Sequence[float], *tokens: int) -> Case:
    return Case(f"p {p}: {why}", "top_p", {"top_p": p}, before, kept(before, *tokens))


def min_p(why: str, m: float, before: Sequence[float], *tokens: int) -> Case:
    return Case(f"m {m}: {why}", "min_p", {"min_p": m}, before, kept(before, *tokens))


def history(
    stage: str,
    why: str,
    value: float,
    before: Sequence[float],
    after: Sequence[float],
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
) -> Case:
    return Case(f"{value}: {why}", stage, {stage: value}, before, after, prompt, output)


CASES = [
    temperature("halves divide exactly", 0.5, [2, 1.5, 0, -1, X], [4, 3, 0, -2, X]),
    temperature("flatter", 2, [2, 1.5, 0, -1, X], [1, 0.75, 0, -0.5, X]),
    temperature("greedy", 0, [1, 3, 2], [X, 3, X]),
    temperature("greedy, a tie: the lowest id", 0, [1, 3, 2, 3], [X, 3, X, X]),
    temperature("greedy, all tied", 0, [7, 7, 7], [7, X, X]),
    temperature("greedy, all but one removed", 0, [X, X, -9], [X, X, -9]),
    temperature("greedy, negative zero ties with zero", 0, [-1, -0.0, 0.0], [X, -0.0, X]),
    temperature("one candidate stays", 0.3, [X, 3, X], [X, 10, X]),
    temperature("nearly greedy", 1e-6, [1, 1, 0.5], [1e6, 1e6, 0.5e6]),
    temperature("nearly uniform", 1e6, [20, -20, X], [2e-5, -2e-5, X]),
    temperature("the best stays finite", 1e-38, [60, 60, 20], [0, 0, X]),
    temperature("the best stays finite", 1e-45, [-60, -60, -61, X], [0, 0, X, X]),
    temperature("the flattest of all", 3.4e38, [3.4, 0, X], [1e-38, 0, X]),
    top_k("one", 1, [1, 3, 2], 1),
    top_k("two", 2, [1, 3, 2], 1, 2),
    top_k("all three", 3, [1, 3, 2], 0, 1, 2),
    top_k("more than there are", 4, [1, 3, 2], 0, 1, 2),
    top_k("the largest number allowed", 2**31 - 1, [1, X, 2], 0, 2),
    top_k("ties with the last stay", 2, [2, 3, 2, 1, 2], 0, 1, 2, 4),
    top_k("ties above the last don't count twice", 2, [3, 3, 2], 0, 1),
    top_k("ties at the top", 1, [3, 3, 2], 0, 1),
    top_k("removed tokens don't come back", 3, [1, X, X, 2], 0, 3),
    top_k("negative zero ties with zero", 1, [-0.0, 0.0, -1], 0, 1),
    top_p("none: the most likely", 0, HALVES, 0),
    top_p("none, a tie: both", 0, logs(0.4, 0.4, 0.2), 0, 1),
    top_p("below the first", 0.49, HALVES, 0),
    top_p("just above the first", 0.51, HALVES, 0, 1),
    top_p("just below the second", 0.749, HALVES, 0, 1),
    top_p("just above the second", 0.751, HALVES, 0, 1, 2),
    top_p("the crossing token stays", 0.8, HALVES, 0, 1, 2),
    top_p("just above the third: the tie stays too", 0.876, HALVES, 0, 1, 2, 3, 4),
    top_p("just below one", 0.9999, HALVES, 0, 1, 2, 3, 4),
    top_p("the nearest to one that float32 has", 1 - 2**-24, logs(0.9, 0.1 - 1e-6, 1e-6), 0, 1, 2),
    top_p("just below a sum", 0.8499, TENTHS, 0, 1, 2),
    top_p("just above a sum", 0.8501, TENTHS, 0, 1, 2, 3),
    top_p("unsorted", 0.6, logs(0.1, 0.4, 0.05, 0.3, 0.15), 1, 3),
    top_p("over what is still allowed", 0.6, [X, *logs(0.2, 0.1), X], 1),
    top_p("over what is still allowed", 0.7, [X, *logs(0.2, 0.1), X], 1, 2),
    top_p("one candidate", 0.5, [X, 3, X], 1),
    top_p("all tied", 0.1, [7, 7, 7], 0, 1, 2),
    min_p("just below the second", 0.74, TENTHS, 0, 1),
    min_p("just above the second", 0.76, TENTHS, 0),
    min_p("just below the third", 0.374, TENTHS, 0, 1, 2),
    min_p("just above the third", 0.376, TENTHS, 0, 1),
    min_p("just below the last", 0.1249, TENTHS, 0, 1, 2, 3, 4),
    min_p("just above the last", 0.1251, TENTHS, 0, 1, 2, 3),
    min_p("one: the most likely alone", 1, TENTHS, 0),
    min_p("one, a tie: both", 1, [3, 2, 3], 0, 2),
    min_p("removed tokens don't come back", 1e-9, [X, 0, -5], 1, 2),
    min_p("tiny: nearly all", 1e-30, [0, -60, -80], 0, 1),
    min_p("one candidate", 0.9, [X, -5, X], 1),
    history("repetition_penalty", "nothing seen", 2, [4, -4], [4, -4]),
    history("repetition_penalty", "the prompt counts", 2, [4, -4, 1], [2, -8, 1], [0, 1]),
    history("repetition_penalty", "the output counts", 2, [4, -4, 1], [2, -8, 1], (), [0, 1]),
    history("repetition_penalty", "once each", 2, [4, -4, 1], [2, -8, 1], [0, 0, 1], [1, 0]),
    history("repetition_penalty", "below one: a reward", 0.5, [4, -4], [8, -2], [0], [1]),
    history("repetition_penalty", "zero and removed stay", 2, [0, X, 1], [0, X, 1], [0, 1]),
    history(
        "frequency_penalty", "each time", 0.5, [4, 3, 2, 1], [3.5, 1.5, 2, 1], (), [1, 0, 1, 1]
    ),
    history("frequency_penalty", "the prompt doesn't count", 0.5, [4, 3], [4, 2.5], [0, 0, 1], [1]),
    history("frequency_penalty", "negative: a reward", -2, [4, 3], [4, 7], (), [1, 1]),
    history("frequency_penalty", "removed stays", 2, [4, X], [4, X], (), [1, 1]),
    history("frequency_penalty", "no output", 2, [4, 3], [4, 3], [0, 1]),
    history("presence_penalty", "once", 0.5, [4, 3, 2], [3.5, 2.5, 2], (), [1, 0, 1, 1]),
    history("presence_penalty", "the prompt doesn't count", 0.5, [4, 3], [4, 2.5], [0, 1], [1]),
    history("presence_penalty", "negative: a reward", -2, [4, 3], [4, 5], (), [1, 1]),
    history("presence_penalty", "removed stays", 2, [4, X], [4, X], (), [1]),
    Case("adds", "logit_bias", {"logit_bias": ((0, 1.5), (2, -2.0))}, [1, 2, 3], [2.5, 2, 1]),
    Case("-inf stays", "logit_bias", {"logit_bias": ((1, 100.0),)}, [1, X], [1, X]),
    Case("other vocabulary", "logit_bias", {"logit_bias": ((1, 1.0), (9, 5.0))}, [1, 2], [1, 3]),
]


def names(case: Case) -> str:
    return f"{case.stage}-{case.why}"


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_op_holds_the_table(case: Case) -> None:
    """The kept tokens are the same ones, and their logits differ in the last bits at most."""
    actual = rows.apply(case.before, case.values, case.prompt, case.output)

    assert actual == pytest.approx(case.after, rel=1e-6, abs=0)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_reference_holds_the_table(case: Case) -> None:
    """Up to what float32 can't hold: a difference in logits of more than 1e30 counts as removed."""
    chain = rows.preset(case.values).chain
    actual = reference.chain(list(case.before), chain, case.prompt, case.output)

    best, expected_best = max(actual), max(case.after)
    if abs(best - expected_best) > 1e30:
        actual = [x - best + expected_best if best - x < 1e30 else X for x in actual]
    assert actual == pytest.approx(case.after, rel=1e-6, abs=0)


def test_every_stage_has_a_table() -> None:
    """And a function in the reference."""
    names = {stage.name for stage in STAGES}

    assert {case.stage for case in CASES} == names
    assert set(reference.ROWS) == names
