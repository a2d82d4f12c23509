"""The numbers that other programs' own sampler tests expect, and ours beside them.

Facts of llama.cpp's test-sampling, Transformers' test_logits_process and ExLlamaV3's test_sampler:
`docs/reports/numbers.md` says which agree, which differ, and who is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from temperament.stages import FLOAT32_MAX
from tests import rows
from tests.plain import RowContext, softmax
from tests.tables import X, logs

LETTERS = RowContext(tokens=tuple(bytes([97 + token]) for token in range(10)))


class Expected(NamedTuple):
    """What a peer's test expects of one row."""

    why: str
    values: dict[str, Any]
    before: Sequence[float]
    # probabilities, or logits if `as_logits`
    after: Sequence[float]
    prompt: Sequence[int] = ()
    output: Sequence[int] = ()
    as_logits: bool = False
    # what ours gives where it isn't the peer's number
    ours: Sequence[float] = ()


def probabilities(x: Sequence[float]) -> list[float]:
    """Scaled to a sum of 1."""
    return [value / sum(x) for value in x]


UP = logs(0.1, 0.2, 0.3, 0.4)
DOWN = logs(0.4, 0.3, 0.2, 0.1)
EVEN = logs(0.2, 0.2, 0.2, 0.2, 0.2)
TYPICAL = [logs(0.97, 0.01, 0.01, 0.01), logs(0.4, 0.2, 0.2, 0.2)]


def xtc(threshold: float) -> dict[str, Any]:
    return {"xtc_probability": 1, "xtc_threshold": threshold, "xtc_protect_structure": False}


def penalties(frequency: float, presence: float) -> dict[str, Any]:
    return {"frequency_penalty": frequency, "presence_penalty": presence}


def dry(
    multiplier: float, base: float, allowed: int, breakers: str = "", window: int = 0
) -> dict[str, Any]:
    return {
        "dry_multiplier": multiplier, "dry_base": base, "dry_allowed_length": allowed,
        "dry_sequence_breakers": tuple(breakers), "dry_protect_ends": False, "dry_range": window,
    }  # fmt: skip


LLAMACPP = [
    Expected("temperature 1", {"temperature": 1}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("temperature 0", {"temperature": 0}, UP, [0, 0, 0, 1]),
    Expected("top-k 1", {"top_k": 1}, UP, [0, 0, 0, 1]),
    Expected("top-k 3", {"top_k": 3}, UP, [0, 0.22222, 0.33333, 0.44444]),
    Expected("top-k 4", {"top_k": 4}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("top-k 0 is off", {"top_k": 0}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("top-p 0", {"top_p": 0}, UP, [0, 0, 0, 1]),
    Expected("top-p 0.7 on the border", {"top_p": 0.7}, UP, [0, 0, 0.428571, 0.571429]),
    Expected("top-p 0.8", {"top_p": 0.8}, UP, [0, 0.22222, 0.33333, 0.44444]),
    Expected("top-p 1", {"top_p": 1}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("min-p 0", {"min_p": 0}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("min-p 0.24", {"min_p": 0.24}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("min-p 0.26", {"min_p": 0.26}, UP, probabilities([0, 0.2, 0.3, 0.4])),
    Expected("min-p 0.49", {"min_p": 0.49}, UP, probabilities([0, 0.2, 0.3, 0.4])),
    Expected("min-p 0.51", {"min_p": 0.51}, UP, probabilities([0, 0, 0.3, 0.4])),
    Expected("min-p 0.74", {"min_p": 0.74}, UP, probabilities([0, 0, 0.3, 0.4])),
    Expected("min-p 0.76", {"min_p": 0.76}, UP, [0, 0, 0, 1]),
    Expected("min-p 1", {"min_p": 1}, UP, [0, 0, 0, 1]),
    Expected("xtc 0.09", xtc(0.09), DOWN, [0, 0, 0, 1]),
    Expected("xtc 0.19", xtc(0.19), DOWN, probabilities([0, 0, 0.2, 0.1])),
    Expected("xtc 0.29", xtc(0.29), DOWN, probabilities([0, 0.3, 0.2, 0.1])),
    Expected("xtc 0.39: one top choice", xtc(0.39), DOWN, [0.4, 0.3, 0.2, 0.1]),
    Expected("typical, steep", {"typical_p": 0.5}, TYPICAL[0], [1, 0, 0, 0]),
    Expected("typical, flat", {"typical_p": 0.5}, TYPICAL[1], probabilities([0, 0.2, 0.2, 0.2])),
    Expected(
        "repetition 50", {"repetition_penalty": 50}, EVEN, [0, 0.25, 0.25, 0.25, 0.25], output=[0]
    ),
    Expected(
        "repetition counts once", {"repetition_penalty": 50}, EVEN, [0, 0, 0, 0.5, 0.5],
        output=[0, 1, 2, 0, 0],
    ),
    Expected(
        "frequency and presence", penalties(5, 5), EVEN,
        [0.000011, 0.249997, 0.249997, 0.249997, 0.249997], output=[0],
    ),
    Expected(
        "frequency and presence of three", penalties(5, 5), EVEN,
        [0.000023, 0.000023, 0.000023, 0.499966, 0.499966], output=[0, 1, 2],
    ),
    Expected(
        "frequency counts each", penalties(5, 5), EVEN,
        [0.000000, 0.000023, 0.000023, 0.499977, 0.499977], output=[0, 1, 2, 0, 0],
    ),
    Expected("DRY without a repetition", dry(1, 1.1, 2), [0.0] * 4, [0.25] * 4, [0, 1]),
    Expected(
        "DRY at the allowed length", dry(1, 1.1, 2), [0.0] * 4,
        [0.296923, 0.296923, 0.109232, 0.296923], [0, 1, 2, 0, 1],
    ),
    Expected("DRY spares a breaker", dry(1, 1.1, 2, "d"), EVEN, [0.2] * 5, [0, 1, 3, 4, 0, 1]),
    Expected(
        "DRY, multiplier 2", dry(2, 1.1, 2), EVEN,
        [0.241818, 0.241818, 0.032727, 0.241818, 0.241818], [0, 1, 2, 0, 1],
    ),
    Expected(
        "DRY below the allowed length", dry(1, 1.1, 4), EVEN, [0.2] * 5, [0, 1, 2, 3, 4, 0, 1]
    ),
    Expected("one sigma", {"top_n_sigma": 1}, UP, [0, 0, 0.428571, 0.571429]),
    Expected("no sigma is off", {"top_n_sigma": 0}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected("three sigmas", {"top_n_sigma": 3}, UP, [0.1, 0.2, 0.3, 0.4]),
    Expected(
        "p-less", {"p_less": True}, logs(0.1, 0.15, 0.2, 0.25, 0.3),
        [0, 0, 0, 0.45454545, 0.54545455],
    ),
    Expected("p-less, all equal", {"p_less": True}, EVEN, [0.2] * 5),
]  # fmt: skip

RAMP = [float(n) for n in range(10)]
BAD = ((1,), (4,), (1, 0), (0, 1, 2), (1, 3, 1, 3))
BIASED = (
    ((1,), 100.0), ((4,), 100.0), ((1, 0), -100.0), ((0, 1, 2), -100.0), ((1, 3, 1, 3), -100.0),
    ((1, 3, 1, 3, 1, 3), -100.0),
)  # fmt: skip

TRANSFORMERS = [
    Expected("top-k of a ramp", {"top_k": 3}, RAMP, [X] * 7 + [7, 8, 9], as_logits=True),
    Expected(
        "top-k of two ramps", {"top_k": 3}, [10, 11, 12, 13, 14, *range(5, 10)],
        [X, X, 12, 13, 14, *[X] * 5], as_logits=True,
    ),
    Expected(
        "top-p on the border", {"top_p": 0.8}, logs(0.3, 0.1, 0.1, 0.5),
        probabilities([0.3, 0, 0, 0.5]),
    ),
    Expected(
        "top-p", {"top_p": 0.8}, logs(0.15, 0.3, 0.3, 0.25), probabilities([0, 0.3, 0.3, 0.25])
    ),
    Expected("top-h of a steep row", {"top_h": 0.3}, TYPICAL[0], [1, 0, 0, 0]),
    Expected("top-h", {"top_h": 0.7}, DOWN, probabilities([0.4, 0.3, 0, 0])),
    Expected("top-h of all", {"top_h": 1}, [0.0] * 4, [0.25] * 4),
    Expected("top-h beside zeros", {"top_h": 0.4}, logs(0.75, 0.25, 0, 0), [1, 0, 0, 0]),
    Expected(
        "min-p", {"min_p": 0.05}, logs(0.9, 0.0274, 0.047, 0.0274),
        probabilities([0.9, 0, 0.047, 0]),
    ),
    Expected("min-p of all", {"min_p": 0.05}, logs(0.15, 0.3, 0.3, 0.25), [0.15, 0.3, 0.3, 0.25]),
    Expected("min-p of a steep row", {"min_p": 0.05}, TYPICAL[0], [1, 0, 0, 0]),
    Expected("typical, steep", {"typical_p": 0.5}, TYPICAL[0], [1, 0, 0, 0]),
    Expected("typical, flat", {"typical_p": 0.5}, TYPICAL[1], probabilities([0, 0.2, 0.2, 0.2])),
    Expected("epsilon", {"epsilon_cutoff": 0.1}, logs(0.87, 0.099, 0.001, 0.03), [1, 0, 0, 0]),
    Expected(
        "epsilon of all", {"epsilon_cutoff": 0.1}, logs(0.4, 0.299, 0.101, 0.2),
        [0.4, 0.299, 0.101, 0.2],
    ),
    Expected("eta", {"eta_cutoff": 0.0625}, logs(0, 0.1, 0.8, 0.1), [0, 0.1, 0.8, 0.1]),
    Expected("eta, steep", {"eta_cutoff": 0.0625}, logs(0.01, 0.04, 0.9, 0.05), [0, 0, 1, 0]),
    Expected(
        "repetition", {"repetition_penalty": 2}, [-0.1, *[0.1] * 9], [-0.2, 0.05, *[0.1] * 8],
        [0, 1], as_logits=True,
    ),
    Expected(
        "encoder repetition", {"encoder_repetition_penalty": 2}, [-0.1, *[0.1] * 9],
        [-0.05, 0.2, *[0.1] * 8], [0, 1], as_logits=True,
    ),
    Expected(
        "2-grams", {"no_repeat_ngram_size": 2}, [0.3] * 3, [0.3, X, X], [1, 1, 2, 1],
        as_logits=True,
    ),
    Expected(
        "3-grams", {"no_repeat_ngram_size": 3}, [0.3] * 3, [X, 0.3, 0.3], [0, 1, 0, 1],
        as_logits=True,
    ),
    Expected(
        "a banned token comes again", {"no_repeat_ngram_size": 3}, [0.1] * 10,
        [0.1] * 5 + [X] + [0.1] * 4, [1, 2, 5, 7, 8, 5, 1, 2], as_logits=True,
    ),
    Expected(
        "a text shorter than an n-gram", {"no_repeat_ngram_size": 3}, [0.3] * 3, [0.3] * 3, [1, 2],
        as_logits=True,
    ),
    Expected(
        "2-grams of the source", {"encoder_no_repeat_ngram_size": 2}, [0.3] * 3, [0.3, X, X],
        [1, 2, 1, 1], [1, 2, 1], as_logits=True,
    ),
    Expected(
        "3-grams of the source", {"encoder_no_repeat_ngram_size": 3}, [0.3] * 3, [0.3, X, 0.3],
        [1, 2, 1, 1], [1, 2, 1], as_logits=True,
    ),
    Expected(
        "bad words: the end of the text can't be banned there", {"bad_words_ids": BAD}, [0.2] * 5,
        [X, X, 0.2, X, 0.2], [0, 1, 3, 1], as_logits=True, ours=[X, X, 0.2, X, X],
    ),
    Expected(
        "biases of sequences", {"sequence_bias": BIASED}, [0.0] * 5, [-100, 100, 0, -100, 100],
        [0, 1, 3, 1], as_logits=True,
    ),
    Expected(
        "biases of others", {"sequence_bias": BIASED}, [0.0] * 5, [-100, 100, -100, 0, 100],
        [0, 1, 0, 1], as_logits=True,
    ),
    Expected(
        "NaN", {"remove_invalid_values": True}, [0.0, 0.7, 0.8, math.nan], [0, 0.7, 0.8, 0],
        as_logits=True,
    ),
    Expected(
        "infinity: -inf becomes a number there", {"remove_invalid_values": True},
        [0.1, math.inf, 0.3, X], [0.1, FLOAT32_MAX, 0.3, -FLOAT32_MAX], as_logits=True,
        ours=[0.1, FLOAT32_MAX, 0.3, X],
    ),
]  # fmt: skip

STEEP = [2.0, 1.0, 0.0, -1.0]
SPELT = [1, 2, 3, 1, 2, 3]

EXLLAMAV3 = [
    Expected(
        "presence and frequency", penalties(1, 1), [10.0] * 10, [6, 3, *[10] * 7, 8],
        output=[0, 0, 0, 1, 1, 1, 1, 1, 1, 9], as_logits=True,
    ),
    Expected(
        "negative presence", penalties(0, -1), [10.0] * 10, [11, 11, *[10] * 7, 11],
        output=[0, 0, 0, 1, 1, 1, 1, 1, 1, 9], as_logits=True,
    ),
    Expected(
        "negative frequency", penalties(-1, 0), [10.0] * 10, [13, 16, *[10] * 7, 11],
        output=[0, 0, 0, 1, 1, 1, 1, 1, 1, 9], as_logits=True,
    ),
    Expected(
        "repetition", {"repetition_penalty": 2}, [2, 2, -2, 2, 2, 2], [2, 1, -4, 1, 2, 2],
        [1, 2, 3], as_logits=True,
    ),
    Expected(
        "top-p: the token that reaches the mass is dropped there",
        {"temperature": 0.75, "top_p": 0.95}, [5, 3, 2.5, 1, 4, 2, 1.5],
        [0.79139, 0, 0, 0, 0.20861, 0, 0], ours=[0.75014, 0.05212, 0, 0, 0.19774, 0, 0],
    ),
    Expected(
        "min-p", {"min_p": 0.16}, [3, 3.5, 4, 4.5, 5, 5.5], [0, 0, 0.10154, 0.16741, 0.276, 0.45505]
    ),
    Expected(
        "top-k", {"top_k": 5}, [3, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9],
        [3, X, X, X, X, X, 2.6, 2.7, 2.8, 2.9], as_logits=True,
    ),
    Expected(
        "banned tokens", {"suppress_tokens": (1, 3)}, [1, 2, 3, 4, 5], [1, X, 3, X, 5],
        as_logits=True,
    ),
    Expected("xtc", xtc(0.1), STEEP, probabilities([0, 0.236883, 0.087144, 0.032059])),
    Expected("xtc, one top choice", xtc(0.3), STEEP, [0.643914, 0.236883, 0.087144, 0.032059]),
    Expected(
        "xtc, two of three", xtc(0.1), [2, 1, 0.5, -1], probabilities([0, 0, 0.135989, 0.030343])
    ),
    Expected(
        "xtc: a protected token isn't a top choice there", xtc(0.1) | {"xtc_protected": (2,)},
        [2, 1, 0.5, -1], probabilities([0, 0.224208, 0.135989, 0.030343]),
        ours=probabilities([0, 0, 0.135989, 0.030343]),
    ),
    Expected(
        "biases", {"logit_bias": ((1, 5.0), (3, -2.0))}, [1.0] * 5, [1, 6, 1, -1, 1],
        as_logits=True,
    ),
    Expected(
        "DRY", dry(1, 1.75, 2), [2.0] * 8, [2, 0.25, *[2] * 6], [0, *SPELT], as_logits=True
    ),
    Expected("DRY, allowed", dry(1, 1.75, 4), [2.0] * 8, [2] * 8, [0, *SPELT], as_logits=True),
    Expected(
        "DRY, a range", dry(1, 1.75, 2, window=4), [2.0] * 8, [2] * 8, SPELT, as_logits=True
    ),
    Expected(
        "DRY, no range", dry(1, 1.75, 2), [2.0] * 8, [2, 0.25, *[2] * 6], SPELT, as_logits=True
    ),
    Expected(
        "DRY: a breaker ends a match", dry(0.5, 2, 1, "j"), [2.0] * 10, [2, 1.5, *[2] * 8],
        [1, 2, 9, 3, 1, 2, 9, 3], as_logits=True,
    ),
    Expected(
        "DRY: a breaker costs nothing", dry(1, 1.75, 2, "j"), [2.0] * 10, [2] * 10,
        [1, 2, 9, 1, 2], as_logits=True,
    ),
    Expected(
        "DRY without the breaker", dry(1, 1.75, 2), [2.0] * 10, [*[2] * 9, 1], [1, 2, 9, 1, 2],
        as_logits=True,
    ),
    Expected(
        "DRY, a run", dry(1, 1.75, 2), [2.0] * 8, [2, 2, 2, 2, -7.37890625, 2, 2, 2], [4] * 7,
        as_logits=True,
    ),
    Expected(
        "DRY: a long run becomes -inf there", dry(1, 2, 2), [2.0] * 8, [2, 2, 2, X, 2, 2, 2, 2],
        [3] * 200, as_logits=True, ours=[2, 2, 2, -FLOAT32_MAX, 2, 2, 2, 2],
    ),
]  # fmt: skip

CASES = [
    (peer, expected)
    for peer, table in (
        ("llama.cpp", LLAMACPP), ("Transformers", TRANSFORMERS), ("ExLlamaV3", EXLLAMAV3),
    )
    for expected in table
]  # fmt: skip


@pytest.mark.parametrize(
    ("peer", "case"), CASES, ids=[f"{peer}-{expected.why}" for peer, expected in CASES]
)
def test_ours(peer: str, case: Expected) -> None:
    """Ours gives the peer's number, or the one that the report gives a reason for."""
    actual = rows.apply(case.before, case.values, case.prompt, case.output, LETTERS)
    if not case.as_logits:
        actual = softmax(actual)

    assert list(case.ours or case.after) == pytest.approx(actual, abs=1e-5), peer
    assert list(case.after) != pytest.approx(actual, abs=1e-5) if case.ours else True


QUEUES = [
    *(("k", 100, 1.0, 0.1), ("p", 0, 0.0003, 0.1), ("p", 0, 0.8, 0.1), ("m", 0, 1.0, 0.1)),
    ("m", 0, 1.0, 9997.9 / 9999),
    *((queue, 100, 0.8, 0.1) for queue in ("kp", "km", "pk", "pm", "mk", "mp")),
    ("mp", 100, 0.8, 9997.9 / 9999),
    *((queue, 100, 0.8, 0.1) for queue in ("kpm", "kmp", "pkm", "pmk", "mkp", "mpk")),
]


@pytest.mark.parametrize(("queue", "k", "p", "m"), QUEUES, ids=[str(queue) for queue in QUEUES])
def test_queues_of_llamacpp(queue: str, k: int, p: float, m: float) -> None:
    """Top-k, top-p and min-p in any order, on 10,000 tokens with the probabilities 0, 1, 2, ..."""
    left = list(range(9999, -1, -1))
    for stage in queue:
        if stage == "k":
            left = left[:k]
        elif stage == "m":
            left = [n for n in left if n >= m * left[0]]
        else:
            goal, mass = p * sum(left), 0.0
            for place, n in enumerate(left):
                mass += n
                if mass >= goal:
                    left = left[: place + 1]
                    break
    names = {"k": "top_k", "p": "top_p", "m": "min_p"}
    values = {names[stage]: {"k": k, "p": p, "m": m}[stage] for stage in queue}
    before = [X, *(math.log(n) for n in range(1, 10_000))]

    actual = rows.apply(before, values, order=[names[stage] for stage in queue])

    assert sorted(left) == [token for token, x in enumerate(actual) if x > X]


@pytest.mark.parametrize("page", ["numbers.md", "numbers.zh-CN.md"])
def test_the_report_counts_these_cases(page: str) -> None:
    """The report's table has the number of cases here, of those that agree, and of the others."""
    report = Path(__file__).parents[3] / "docs" / "reports" / page
    lines = report.read_text(encoding="utf-8").splitlines()
    found, expected = {}, {}
    for peer in ("llama.cpp", "Transformers", "ExLlamaV3"):
        line = next(line for line in lines if line.startswith(f"| {peer}"))
        found[peer] = [int(cell.strip() or 0) for cell in line.split("|")[2:5]]
        differ = sum(bool(case.ours) for name, case in CASES if name == peer)
        cases = sum(name == peer for name, _ in CASES)
        cases += len(QUEUES) if peer == "llama.cpp" else 0
        expected[peer] = [cases, cases - differ, differ]

    assert expected == found
