"""Measures of the samples of one prompt; a sample is its list of token ids."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

Tokens = Sequence[int]
ORDER = 4  # of BLEU
REPEATS = 3  # times that a loop repeats its period at the end of a text
LOOP = 12  # fewest tokens of a loop


def distinct(samples: Sequence[Tokens], n: int) -> float:
    """The share of different n-grams among all n-grams of the samples; NaN if there are none.

    Source: Li et al. 2016, arXiv:1510.03055.
    """
    found = [gram for sample in samples for gram in _grams(sample, n)]
    return len(set(found)) / len(found) if found else math.nan


def self_bleu(samples: Sequence[Tokens]) -> float:
    """The mean BLEU of each sample against the others: 1 if all are equal, 0 if they share nothing.

    NaN for fewer than two samples. Source: Zhu et al. 2018, arXiv:1802.01886.
    """
    if len(samples) < 2:
        return math.nan
    scores = [bleu(one, [*samples[:i], *samples[i + 1 :]]) for i, one in enumerate(samples)]
    return sum(scores) / len(scores)


def bleu(candidate: Tokens, references: Sequence[Tokens]) -> float:
    """BLEU-4 of one text, with 1 added to the counts of n-grams of two tokens and more.

    Source: Papineni et al. 2002; the smoothing is that of Lin and Och 2004 (ORANGE).
    """
    if not candidate:
        return float(not any(references))
    logs = []
    for n in range(1, ORDER + 1):
        counts = Counter(_grams(candidate, n))
        most: Counter[tuple[int, ...]] = Counter()
        for reference in references:
            most |= Counter(_grams(reference, n))
        added = int(n > 1)
        hits = sum(min(count, most[gram]) for gram, count in counts.items()) + added
        if not hits:
            return 0.0
        logs.append(math.log(hits / (counts.total() + added)))
    # the reference nearest in length, the shorter of two
    nearest = min(
        (len(r) for r in references), key=lambda length: (_gap(length, candidate), length)
    )
    brevity = min(0.0, 1 - nearest / len(candidate))
    return math.exp(brevity + sum(logs) / ORDER)


def loops(sample: Tokens) -> bool:
    """Whether a text ends with the same tokens three times, in 12 tokens or more."""
    for period in range(1, len(sample) // REPEATS + 1):
        length = max(period * REPEATS, LOOP)
        end = sample[-length:]
        if len(end) == length and all(
            end[place] == end[place - period] for place in range(period, length)
        ):
            return True
    return False


def _gap(length: int, candidate: Tokens) -> int:
    return abs(length - len(candidate))


def _grams(sample: Tokens, n: int) -> Iterator[tuple[int, ...]]:
    return (tuple(sample[i : i + n]) for i in range(len(sample) - n + 1))
