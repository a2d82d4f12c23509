"""Every stage as a table of numbers: before, values, after. The reference and the op both hold it.

A new stage adds rows. Values stand on both sides of every boundary.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from temperament.stages import BY_NAME, FLOAT32_MAX, STAGES
from tests import reference, rows
from tests.reference import Around

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
    around: Around = Around()


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


def stage(name: str, why: str, value: Any, before: Sequence[float], after: Sequence[float]) -> Case:
    return Case(f"{value}: {why}", name, {name: value}, before, after)


def cut(name: str, why: str, value: Any, before: Sequence[float], *tokens: int) -> Case:
    return stage(name, why, value, before, kept(before, *tokens))


def dynatemp(why: str, low: float, high: float, e: float, before: Any, after: Any) -> Case:
    values = {"dynatemp_low": low, "dynatemp_high": high, "dynatemp_exponent": e}
    return Case(f"{low} to {high} ^ {e}: {why}", "dynamic_temperature", values, before, after)


def smoothing(why: str, f: float, c: float, before: Any, after: Any) -> Case:
    values = {"smoothing_factor": f, "smoothing_curve": c}
    return Case(f"f {f} c {c}: {why}", "smoothing", values, before, after)


# The entropy is 1.5 ln 2 of ln 3: dynamic temperature's share of the way.
QUARTERS = logs(0.5, 0.25, 0.25)
WAY = 1.5 * math.log(2) / math.log(3)
# Its temperature for [0, -60], of low 0 and high 1e25.
FAINT = 1e25 * (math.log1p(math.exp(-60)) + 60 / (1 + math.exp(60))) / math.log(2)
# Sorted, the second differences are 0.05, 0.1, 0: two thirds of them end at 0.15.
BENT = logs(0.4, 0.3, 0.15, 0.1, 0.05)
# The deviation is 2.
SPREAD = [9.0, 7.0, 5.0, 5.0, 4.0, 4.0, 4.0, 2.0]
# The logarithm of the probability of 0 in [0, -16], and of that of -16 when the former is squared.
RARE = -math.log1p(math.exp(-16))
TWICE_RARE = math.log(-math.expm1(2 * RARE))


# The bytes of six tokens, of which the last ends a text.
WORDS = Around(ends=(5,), tokens=(b"a", b"b", b"ab", b"\n", b"x", b""))
SIX = [6, 5, 4, 3, 2, 1]
SEED = 7
ROLL = reference.uniform(SEED, 0, 1)
FAR = 5 - 125 / 33  # adaptive_p's logit a quarter from the target
NOISE = [reference.gumbel(SEED, 0, 2, token) for token in range(2)]


def told(
    stage: str,
    why: str,
    value: Any,
    before: Sequence[float],
    after: Sequence[float],
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    around: Around = WORDS,
    **values: Any,
) -> Case:
    """A stage whose first parameter is this, and others if need be."""
    first = BY_NAME[stage].parameters[0].name
    return Case(why, stage, {first: value, **values}, before, after, prompt, output, around)


def dry(
    why: str, history: Sequence[int], losses: dict[int, float], allowed: int = 2, **values: Any
) -> Case:
    """Multiplier 1, base 2, no breaker but those that are named; a loss for each token."""
    after = [x - losses.get(token, 0) for token, x in enumerate(SIX)]
    given: dict[str, Any] = {"dry_base": 2.0, "dry_sequence_breakers": (), **values}
    return told("dry", why, 1.0, SIX, after, history, dry_allowed_length=allowed, **given)


def xtc(why: str, t: float, before: Sequence[float], *tokens: int, **values: Any) -> Case:
    """It is rolled in any case, and protects nothing, unless other values say so."""
    p = values.pop("p", 1.0)
    given = {"xtc_threshold": t, "xtc_protect_structure": False, **values}
    around = WORDS._replace(seed=SEED)
    return told("xtc", why, p, before, kept(before, *tokens), around=around, **given)


def mirostat(why: str, version: int, tau: float, before: Sequence[float], *tokens: int) -> Case:
    return told("mirostat", why, version, before, kept(before, *tokens), mirostat_tau=tau)


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
    dynatemp("no entropy: low", 0.5, 2, 1, [0, -200], [0, -400]),
    dynatemp("all alike: high", 0.5, 2, 1, [3, 3, X], [1.5, 1.5, X]),
    dynatemp("in between", 1, 2, 1, QUARTERS, [x / (1 + WAY) for x in QUARTERS]),
    dynatemp("bent", 1, 2, 3, QUARTERS, [x / (1 + WAY**3) for x in QUARTERS]),
    dynatemp("falling", 2, 1, 1, QUARTERS, [x / (2 - WAY) for x in QUARTERS]),
    dynatemp("falling to almost nothing", 0.5, 1e-24, 1, [4, 4, X], [4e24, 4e24, X]),
    dynatemp("over what is left", 1, 2, 1, [X, *QUARTERS], [X, *(x / (1 + WAY) for x in QUARTERS)]),
    dynatemp("one candidate: nothing", 0.5, 2, 1, [X, 3, X], [X, 3, X]),
    dynatemp("low zero, no entropy: the best alone", 0, 2, 1, [0, -200], [0, X]),
    dynatemp("the smallest entropy counts", 0, 1e25, 1, [0, -60], [0, -60 / FAINT]),
    dynatemp("never greedy between equals", 0, 1, 100, [0, 0, *[-10] * 4], [0, 0, X, X, X, X]),
    smoothing("the square", 0.5, 1, [3, 2, 1, X], [3, 2.5, 1, X]),
    smoothing("square and cube", 1, 2, [3, 2, 1, X], [3, 2, -3, X]),
    smoothing("the cube alone", 1, 3, [3, 2, 1, X], [3, 2, -5, X]),
    smoothing("above 3 the second can rise above the first", 1, 4, [1, 0.75], [1, 1.0078125]),
    smoothing("ties stay ties", 0.5, 1, [3, 3, 1], [3, 3, 1]),
    smoothing("one candidate", 5, 1, [X, 3], [X, 3]),
    smoothing("no infinities meet", 1e38, 10, [0, -1e38, X], [0, X, X]),
    smoothing("nor without the cube", 1e38, 1, [0, -1e38, X], [0, X, X]),
    # H is 1.875 ln 2; the surprises are 1, 2, 3, 4 and 4 times ln 2: nearest are 2, 1, 3, 4.
    cut("typical_p", "just below the most typical", 0.249, HALVES, 1),
    cut("typical_p", "just above the most typical", 0.251, HALVES, 0, 1),
    cut("typical_p", "just below two", 0.749, HALVES, 0, 1),
    cut("typical_p", "just above two", 0.751, HALVES, 0, 1, 2),
    cut("typical_p", "just above three: ties stay", 0.876, HALVES, 0, 1, 2, 3, 4),
    cut("typical_p", "the most likely may go", 0.25, logs(0.4, *[0.06] * 10), *range(1, 11)),
    cut("typical_p", "all tied", 0.1, [7, 7, 7], 0, 1, 2),
    cut("typical_p", "one candidate", 0.1, [X, 7, X], 1),
    cut("typical_p", "over what is left", 0.249, [X, *HALVES, X], 2),
    cut("epsilon_cutoff", "just below the last", 0.0499, TENTHS, 0, 1, 2, 3, 4),
    cut("epsilon_cutoff", "just above the last", 0.0501, TENTHS, 0, 1, 2, 3),
    cut("epsilon_cutoff", "just below the second", 0.299, TENTHS, 0, 1),
    cut("epsilon_cutoff", "just above the second", 0.301, TENTHS, 0),
    cut("epsilon_cutoff", "above all: the best stays", 0.9, TENTHS, 0),
    cut("epsilon_cutoff", "above all, a tie: both", 0.9, [3, 3, 2], 0, 1),
    cut("epsilon_cutoff", "over what is left", 0.39, [X, *logs(0.3, 0.2)], 1, 2),
    cut("epsilon_cutoff", "over what is left", 0.41, [X, *logs(0.3, 0.2)], 1),
    cut("epsilon_cutoff", "far from zero, just below", 0.2689, [1e7, 1e7 - 1], 0, 1),
    cut("epsilon_cutoff", "far from zero, just above", 0.2690, [1e7, 1e7 - 1], 0),
    cut("epsilon_cutoff", "one candidate", 0.9, [X, -5, X], 1),
    # exp(-H) is 2^-1.875: sqrt(e) times it is below e from e = 0.0743 on.
    cut("eta_cutoff", "e itself, just below", 0.0624, HALVES, 0, 1, 2, 3, 4),
    cut("eta_cutoff", "e itself, just above", 0.0626, HALVES, 0, 1, 2),
    cut("eta_cutoff", "by the entropy, just below", 0.2101, HALVES, 0, 1, 2),
    cut("eta_cutoff", "by the entropy, just above", 0.2103, HALVES, 0, 1),
    cut("eta_cutoff", "high", 0.8408, HALVES, 0, 1),
    cut("eta_cutoff", "higher", 0.8410, HALVES, 0),
    cut("eta_cutoff", "one candidate", 0.9, [X, -5, X], 1),
    cut("eta_cutoff", "all tied: below exp(-H)", 0.9, [7, 7, 7], 0, 1, 2),
    cut("top_a", "just below the third", 0.937, TENTHS, 0, 1, 2),
    cut("top_a", "just above the third", 0.938, TENTHS, 0, 1),
    cut("top_a", "just below the last", 0.312, TENTHS, 0, 1, 2, 3, 4),
    cut("top_a", "just above the last", 0.313, TENTHS, 0, 1, 2, 3),
    cut("top_a", "one: what has less than the square", 1, logs(0.9, 0.1), 0),
    cut("top_a", "one, all tied", 1, [3, 3], 0, 1),
    cut("top_a", "one candidate", 1, [X, -5, X], 1),
    cut("tfs", "just below the first bend", 0.33, BENT, 0),
    cut("tfs", "just above the first bend", 0.34, BENT, 0, 1),
    cut("tfs", "nearly all: the end goes", 0.999, logs(0.5, 0.3, 0.15, 0.04, 0.01), 0, 1, 2),
    cut("tfs", "three candidates, one bend", 0.999, logs(0.6, 0.3, 0.1), 0),
    cut("tfs", "three candidates, a tie", 0.999, [3, 3, 1], 0, 1),
    cut("tfs", "unsorted", 0.34, [BENT[2], BENT[4], BENT[0], BENT[3], BENT[1]], 2, 4),
    cut("tfs", "removed tokens are no tail", 0.34, [*BENT, X, X, X], 0, 1),
    cut("tfs", "all tied: nothing bends", 0.1, [7, 7, 7, X], 0, 1, 2),
    cut("tfs", "as good as tied", 0.1, [3e-14, 1e-14, 0], 0, 1, 2),
    cut("tfs", "two candidates: nothing", 0.1, [X, 7, 5], 1, 2),
    cut("tfs", "one candidate", 0.1, [X, 7, X], 1),
    cut("top_n_sigma", "just below one", 0.99, SPREAD, 0),
    cut("top_n_sigma", "just above one", 1.01, SPREAD, 0, 1),
    cut("top_n_sigma", "just below two", 1.99, SPREAD, 0, 1),
    cut("top_n_sigma", "just above two", 2.01, SPREAD, 0, 1, 2, 3),
    cut("top_n_sigma", "just below three and a half", 3.49, SPREAD, *range(7)),
    cut("top_n_sigma", "just above three and a half", 3.51, SPREAD, *range(8)),
    cut("top_n_sigma", "removed tokens don't count", 1.01, [X, *SPREAD, X], 1, 2),
    cut("top_n_sigma", "all tied", 0.1, [7, 7, X], 0, 1),
    cut("top_n_sigma", "one candidate", 0.1, [X, -7], 1),
    cut("top_n_sigma", "far from zero", 1.01, [x + 1e6 for x in SPREAD], 0, 1),
    # Of H = 1.875 ln 2 the tokens have 4/15, 4/15, 3/15, 2/15, 2/15.
    cut("top_h", "below the first: it stays", 0.1, HALVES, 0),
    cut("top_h", "just below two", 0.533, HALVES, 0),
    cut("top_h", "just above two", 0.534, HALVES, 0, 1),
    cut("top_h", "just below three", 0.733, HALVES, 0, 1),
    cut("top_h", "just above three", 0.734, HALVES, 0, 1, 2),
    cut("top_h", "four, and the tie", 0.87, HALVES, 0, 1, 2, 3, 4),
    cut("top_h", "all of it", 1, HALVES, 0, 1, 2, 3, 4),
    cut("top_h", "over what is left", 0.534, [X, *HALVES], 1, 2),
    cut("top_h", "the top hundred alone", 1, [0.0] * 100 + [-1.0] * 50, *range(100)),
    cut("top_h", "those tied with the hundredth too", 1, [0.0] * 99 + [-1.0] * 9, *range(108)),
    cut("top_h", "one candidate", 0.1, [X, 7], 1),
    cut("p_less", "0.336", True, HALVES, 0),
    cut("p_less", "0.305, just above the second", True, logs(0.45, 0.3, *[0.05] * 5), 0),
    cut("p_less", "0.308, just below the second", True, logs(0.45, 0.31, *[0.04] * 6), 0, 1),
    cut("p_less", "all tied", True, [7, 7, 7], 0, 1, 2),
    cut("p_less", "tied at the top", True, [7, 7, 7, -90, X], 0, 1, 2),
    cut("p_less", "over what is left", True, [X, *TENTHS], 1, 2),
    cut("p_less", "one candidate", True, [X, -7], 1),
    stage("skew", "F squared", math.log(2), logs(0.5, 0.25, 0.25), logs(0.25, 0.3125, 0.4375)),
    stage("skew", "the root", -math.log(2), logs(0.25, 0.75), logs(1 - 0.75**0.5, 0.75**0.5)),
    stage("skew", "cubed, sorted", math.log(3), logs(0.2, 0.8), logs(1 - 0.512, 0.512)),
    stage("skew", "removed stays", math.log(2), [X, *logs(0.5, 0.5)], [X, *logs(0.25, 0.75)]),
    stage("skew", "the least likely are exact", math.log(2), [0, -16], [2 * RARE, TWICE_RARE]),
    stage("skew", "one candidate", 3.0, [X, 0], [X, 0]),
    stage("remove_invalid_values", "NaN", True, [math.nan, 1, X], [0, 1, X]),
    stage("remove_invalid_values", "infinity", True, [math.inf, 1, X], [FLOAT32_MAX, 1, X]),
    stage("remove_invalid_values", "nothing to remove", True, [3, -0.0, X], [3, -0.0, X]),
    stage("remove_invalid_values", "NaN alone", True, [math.nan] * 2, [0, 0]),
    stage("renormalize_logits", "log-probabilities", True, [5, 5, X], [*logs(0.5, 0.5), X]),
    stage("renormalize_logits", "already so", True, QUARTERS, QUARTERS),
    stage("renormalize_logits", "one candidate", True, [X, 7], [X, 0]),
    told("allowed_token_ids", "two", (1, 3), [4, 3, 2, 1], [X, 3, X, 1]),
    told("allowed_token_ids", "-inf stays", (0, 1), [X, 3, 2], [X, 3, X]),
    told("allowed_token_ids", "none of them is left: the best", (1,), [4, X, 2], [4, X, X]),
    told("allowed_token_ids", "none of them is known: the best", (9,), [1, 3, 2], [X, 3, X]),
    told("suppress_tokens", "two", (0, 2), [4, 3, 2, 1], [X, 3, X, 1]),
    told("suppress_tokens", "other vocabulary", (0, 9), [4, 3], [X, 3]),
    told("suppress_tokens", "all: the best stays", (0, 1, 2), [1, 3, 2], [X, 3, X]),
    told("suppress_tokens", "all: those tied for the best stay", (0, 1, 2), [3, 3, 2], [3, 3, X]),
    told("suppress_tokens", "all that is left", (1,), [X, 3, X], [X, 3, X]),
    told("begin_suppress_tokens", "the first", (0,), [4, 3], [X, 3], [1, 1]),
    told("begin_suppress_tokens", "the second", (0,), [4, 3], [4, 3], [1, 1], [1]),
    told("bad_words_ids", "a word of one token", ((1,),), [4, 3], [4, X]),
    told("bad_words_ids", "would be completed", ((0, 2, 1),), [4, 3], [4, X], [1, 0, 2]),
    told("bad_words_ids", "begun in the prompt", ((0, 2, 1),), [4, 3], [4, X], [0], [2]),
    told("bad_words_ids", "begins otherwise", ((0, 2, 1),), [4, 3], [4, 3], [1, 2]),
    told("bad_words_ids", "longer than the text", ((2, 2, 1),), [4, 3], [4, 3], [2]),
    told("bad_words_ids", "as long as the text", ((2, 1),), [4, 3], [4, X], [2]),
    told("bad_words_ids", "two with one end", ((0, 1), (2, 1)), [4, 3], [4, X], [2]),
    told("bad_words_ids", "all: the best stays", ((0,), (1,)), [4, 3], [4, X]),
    told("sequence_bias", "one token", (((1,), 1.5),), [4, 3], [4, 4.5]),
    told("sequence_bias", "would be completed", (((0, 1), -2.0),), [4, 3], [4, 1], [], [0]),
    told("sequence_bias", "begins otherwise", (((0, 1), -2.0),), [4, 3], [4, 3], [0], [1]),
    told("sequence_bias", "they add up", (((0, 1), 1.0), ((1,), 2.0)), [4, 3], [4, 6], [0]),
    told("sequence_bias", "-inf stays", (((1,), 100.0),), [4, X], [4, X]),
    told("min_new_tokens", "one too few", 2, SIX, [*SIX[:5], X], [0, 0], [0]),
    told("min_new_tokens", "enough", 2, SIX, SIX, [], [0, 0]),
    told("min_new_tokens", "nothing but the end is left", 2, [X] * 5 + [1], [X] * 5 + [1]),
    *(
        told(
            "exponential_decay_length_penalty",
            f"{factor}^{length - 1}",
            factor,
            [*SIX[:5], before],
            [*SIX[:5], after],
            output=[0] * length,
            exponential_decay_start=1,
        )
        for factor, length, before, after in (
            *((2.0, 1, 4, 4), (2.0, 2, 4, 8), (2.0, 3, 4, 16), (2.0, 3, -4, 8), (2.0, 3, 0, 0)),
            *((0.5, 2, 4, 2), (0.5, 2, -4, -6), (2.0, 9, X, X), (2.0, 999, 0, 0)),
            *((2.0, 999, 4, FLOAT32_MAX), (2.0, 999, -4, FLOAT32_MAX)),
        )
    ),
    told("forced_bos_token_id", "behind one token", 1, [4, 3, 2], [X, 3, X], [], [0]),
    told("forced_bos_token_id", "behind a prompt of one", 1, [4, 3, 2], [X, 3, X], [0]),
    told("forced_bos_token_id", "behind nothing", 1, [4, 3, 2], [4, 3, 2]),
    told("forced_bos_token_id", "behind two", 1, [4, 3, 2], [4, 3, 2], [0], [0]),
    told("forced_bos_token_id", "it was removed: the best", 1, [4, X, 2], [4, X, X], [0]),
    told("forced_bos_token_id", "other vocabulary", 9, [4, 3, 2], [4, 3, 2], [0]),
    *(
        told(
            "forced_eos_token_id",
            f"{generated} of {limit}",
            (1, 2),
            [4, 3, 2],
            [X, 0, 0] if forced else [4, 3, 2],
            output=[0] * generated,
            around=Around(limit=limit),
        )
        for generated, limit, forced in (
            *((0, 1, True), (1, 3, False), (2, 3, True), (3, 3, False), (0, -1, False)),
        )
    ),
    history("encoder_repetition_penalty", "the prompt", 2, [4, -4, 1], [8, -2, 1], [0, 1, 0], [2]),
    history("encoder_repetition_penalty", "below one", 0.5, [4, -4], [2, -8], [0, 1]),
    history("encoder_repetition_penalty", "-inf stays", 2, [4, X], [4, X], [1]),
    *(
        told(
            "repetition_penalty",
            f"the last {window} of three",
            2.0,
            [4, 4, 4, 4],
            after,
            [0, 1],
            [2],
            repetition_range=window,
        )
        for window, after in (
            *((0, [2, 2, 2, 4]), (1, [4, 4, 2, 4]), (2, [4, 2, 2, 4]), (3, [2, 2, 2, 4])),
            (2**31 - 1, [2, 2, 2, 4]),
        )
    ),
    history("no_repeat_ngram_size", "what was seen", 1, [4, 3, 2], [X, X, 2], [1], [0]),
    history("no_repeat_ngram_size", "a pair", 2, [4, 3, 2], [4, X, 2], [0, 1, 2, 0]),
    history("no_repeat_ngram_size", "over the end of the prompt", 2, [4, 3], [4, X], [0], [1, 0]),
    history("no_repeat_ngram_size", "two pairs", 2, [4, 3, 2], [4, X, X], [0, 1, 0, 2, 0]),
    history("no_repeat_ngram_size", "three", 3, [4, 3, 2], [4, 3, X], [0, 1, 2, 0, 1]),
    history("no_repeat_ngram_size", "two of three", 3, [4, 3, 2], [4, 3, 2], [1, 1, 2, 0, 1]),
    history("no_repeat_ngram_size", "into itself", 3, [4, 3], [X, 3], [], [0, 0, 0]),
    history("no_repeat_ngram_size", "longer than the text", 5, [4, 3], [4, 3], [0, 0, 0]),
    history("no_repeat_ngram_size", "all: the best stays", 1, [4, 3], [4, X], [0, 1]),
    history("encoder_no_repeat_ngram_size", "a pair", 2, [4, 3, 2], [4, X, 2], [0, 1, 2], [0]),
    history("encoder_no_repeat_ngram_size", "the output's own", 2, [4, 3], [4, 3], [2], [0, 1, 0]),
    history("encoder_no_repeat_ngram_size", "begun in the prompt", 2, [4, 3], [4, X], [0, 1, 0]),
    history("encoder_no_repeat_ngram_size", "one", 1, [4, 3, 2], [X, X, 2], [0, 1], [2]),
    dry("a match of one, two allowed", [1, 0, 2, 0], {}),
    dry("a match of one, one allowed", [1, 0, 2, 0], {2: 1}, allowed=1),
    dry("a match of two", [0, 1, 2, 0, 1], {2: 1}),
    dry("a match of three", [3, 0, 1, 2, 3, 0, 1], {2: 2}),
    dry("a match of three, one allowed", [3, 0, 1, 2, 3, 0, 1], {2: 4}, allowed=1),
    dry("the longest counts", [0, 1, 2, 3, 1, 2, 3, 0, 1, 2], {3: 2}),
    dry("into itself", [0, 0, 0, 0], {0: 2}),
    dry("a base of one", [0, 0, 0, 0], {0: 1}, dry_base=1.0),
    dry("a range with room for two", [4, 0, 1, 2, 4, 0, 1], {2: 1}, dry_range=6),
    dry("a range with room for three", [4, 0, 1, 2, 4, 0, 1], {2: 2}, dry_range=7),
    dry("a range that ends before it", [4, 0, 1, 2, 4, 0, 1], {}, dry_range=4),
    dry("a range shorter than any match", [0, 0, 0, 0], {}, dry_range=2),
    dry("a breaker in it", [0, 3, 1, 2, 0, 3, 1], {2: 1}, 1, dry_sequence_breakers=("\n",)),
    dry("a breaker before it", [3, 0, 1, 2, 3, 0, 1], {2: 1}, dry_sequence_breakers=("\n",)),
    dry("a breaker at the end", [0, 3, 1, 0, 3], {}, 1, dry_sequence_breakers=("\n",)),
    dry("a breaker next costs nothing", [0, 1, 3, 0, 1], {}, dry_sequence_breakers=("\n",)),
    dry("a breaker of two tokens", [1, 3, 4, 1, 3], {}, 1, dry_sequence_breakers=("b\n",)),
    dry("half a breaker", [4, 3, 2, 4, 3], {2: 1}, dry_sequence_breakers=("b\n",)),
    dry("a breaker inside a token", [1, 2, 4, 1, 2], {}, dry_sequence_breakers=("a",)),
    dry(
        "an end of text breaks a breaker",
        [1, 5, 3, 2, 5, 3],
        {2: 1},
        2,
        dry_sequence_breakers=("b\n",),
    ),
    dry("nothing yet", [], {}, 1),
    dry("one token", [0], {}, 1),
    told("dry", "-inf stays", 1.0, [X, 1], [X, 1], [0, 0, 0, 0], dry_sequence_breakers=()),
    dry("a long one", [0] * 20, {0: 2**34}, dry_base=4.0),
    told("banned_strings", "one character", ("a",), SIX, [X, 5, X, 3, 2, 1]),
    told("banned_strings", "inside a token", ("ab",), SIX, [6, 5, X, 3, 2, 1]),
    told("banned_strings", "would be completed", ("ab",), SIX, [6, X, X, 3, 2, 1], [], [0]),
    told("banned_strings", "the prompt begins nothing", ("ab",), SIX, [6, 5, X, 3, 2, 1], [0]),
    told("banned_strings", "an end of text starts anew", ("bb",), SIX, SIX, [], [1, 5]),
    told("banned_strings", "begun inside a token", ("bx",), SIX, [6, 5, 4, 3, X, 1], [], [2]),
    told("banned_strings", "ends inside a token", ("xa",), SIX, [X, 5, X, 3, 2, 1], [], [4]),
    told("banned_strings", "overlaps itself", ("aab",), SIX, [6, X, X, 3, 2, 1], [], [0, 0, 0]),
    told("banned_strings", "one in another", ("xab\n", "ab"), SIX, [6, X, X, 3, 2, 1], [], [4, 0]),
    told("banned_strings", "no token spells it", ("q",), SIX, SIX),
    told("banned_strings", "all: the best stays", ("a",), [6, X, 4], [6, X, X]),
    told("banned_strings", "more logits than tokens", ("a",), [*SIX, 9], [X, 5, X, 3, 2, 1, 9]),
    xtc("just below the third", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 2, 3),
    xtc("just above the third", 0.2001, logs(0.4, 0.3, 0.2, 0.1), 1, 2, 3),
    xtc("just above the second: nothing", 0.3001, logs(0.4, 0.3, 0.2, 0.1), 0, 1, 2, 3),
    xtc("exactly", 0.25, logs(0.5, 0.25, 0.25), 1, 2),
    xtc("tied for the least likely: all stay", 0.1, logs(0.25, 0.25, 0.25, 0.25), 0, 1, 2, 3),
    xtc("no threshold: the least likely", 0.0, [X, 3, 2, -900], 3),
    xtc("over what is left", 0.3, [X, *logs(0.3, 0.2), X], 2),
    xtc("the roll is just above", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 0, 1, 2, 3, p=ROLL - 1e-6),
    xtc("the roll is just below", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 2, 3, p=ROLL + 1e-6),
    xtc("a protected token", 0.1999, logs(0.4, 0.3, 0.2, 0.1), 0, 2, 3, xtc_protected=(0,)),
    xtc(
        "a protected token is the least likely",
        0.1999,
        logs(0.4, 0.3, 0.2, 0.1),
        2,
        3,
        xtc_protected=(2,),
    ),
    xtc(
        "newlines and ends",
        0.05,
        logs(0.1, 0.1, 0.1, 0.3, 0.1, 0.3),
        *range(6),
        xtc_protect_structure=True,
    ),
    xtc(
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
    mirostat("just above one bit", 2, 0.5001, HALVES, 0),
    mirostat("just below two bits", 2, 0.999, HALVES, 0),
    mirostat("just above two bits", 2, 1.001, HALVES, 0, 1),
    mirostat("no surprise: the most likely", 2, 0.0, TENTHS, 0),
    mirostat("all tied: nobody is more likely", 2, 0.0, [1, 1, X], 0, 1),
    mirostat("far above: all", 2, 5.0, HALVES, *range(5)),
    # 1 / i has the exponent 1: k = 2^(2 tau) / ln 8
    mirostat("k just below two", 1, 1.02, [-math.log(i) for i in range(1, 9)], 0),
    mirostat("k just above two", 1, 1.03, [-math.log(i) for i in range(1, 9)], 0, 1),
    mirostat("k above the vocabulary", 1, 9.0, [-math.log(i) for i in range(1, 9)], *range(8)),
    mirostat("ties with the last stay", 1, 0.0, [3, 3, 2], 0, 1),
    mirostat("one candidate", 1, 1.0, [X, 3, X], 1),
    told(
        "adaptive_p", "near the target", 0.5, logs(0.5, 0.25, 0.25), [5, 5 - 125 / 33, 5 - 125 / 33]
    ),
    told("adaptive_p", "a lower target", 0.25, logs(0.5, 0.25, 0.25), [5 - 125 / 33, 5, 5]),
    told("adaptive_p", "-inf stays", 0.5, [X, *logs(0.5, 0.5)], [X, 5, 5]),
    told("reproducible", "one candidate", True, [X, -7, X], [X, -7, X]),
    told(
        "reproducible",
        "the noise is just smaller",
        True,
        [0, NOISE[0] - NOISE[1] - 1e-5],
        [0, X],
        around=Around(SEED),
    ),
    told(
        "reproducible",
        "the noise is just larger",
        True,
        [0, NOISE[0] - NOISE[1] + 1e-5],
        [X, NOISE[0] - NOISE[1] + 1e-5],
        around=Around(SEED),
    ),
]


def names(case: Case) -> str:
    return f"{case.stage}-{case.why}"


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_op_holds_the_table(case: Case) -> None:
    """The kept tokens are the same ones, and their logits differ in the last bits at most."""
    actual = rows.apply(case.before, case.values, case.prompt, case.output, case.around)

    assert actual == pytest.approx(case.after, rel=1e-6, abs=0)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_reference_holds_the_table(case: Case) -> None:
    """Up to what float32 can't hold: a difference in logits of more than 1e30 counts as removed."""
    chain = rows.preset(case.values).chain
    actual = reference.chain(list(case.before), chain, case.prompt, case.output, case.around)

    best, expected_best = max(actual), max(case.after)
    if abs(best - expected_best) > 1e30 or min(x for x in actual if x > X) < -1e30:
        actual = [x - best + expected_best if best - x < 1e30 else X for x in actual]
    assert actual == pytest.approx(case.after, rel=1e-6, abs=0)


def test_every_stage_has_a_table() -> None:
    """And a function in the reference."""
    names = {stage.name for stage in STAGES}

    assert {case.stage for case in CASES} == names
    assert set(reference.ROWS) == names
