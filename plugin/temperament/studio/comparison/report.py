"""The comparison's numbers: each preset's mean over the prompts, with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from temperament.studio.comparison import text_measures
from temperament.studio.comparison.collect import Collected

RESAMPLES = 2000
Array = np.ndarray[Any, np.dtype[np.float64]]

# measure -> its unit
MEASURES = {
    "distinct-1": "",
    "distinct-2": "",
    "distinct-3": "",
    "self-BLEU": "",
    "surprise": "nats",
    "length": "tokens",
    "loops": "share of texts",
    "speed": "tokens/s",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure: each preset's estimate, and each preset's difference from the first one."""

    measure: str
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]


def compare(collected: Sequence[Collected]) -> list[Compared]:
    """Every measure of every preset.

    The bootstrap resamples prompts, the same ones for every preset, so differences are paired;
    for the speed it resamples the rounds.
    """
    compared = []
    for measure in MEASURES:
        columns = np.array([_values(each, measure) for each in collected])
        # [presets, prompts], of the prompts for which every preset has a number
        columns = columns[:, ~np.isnan(columns).any(0)]
        if not columns.shape[1]:
            continue
        random = np.random.default_rng(0)
        picks = random.integers(columns.shape[1], size=(RESAMPLES, columns.shape[1]))
        means = columns[:, picks].mean(-1)  # [presets, resamples]
        gaps = means - means[0]
        mean = columns.mean(1)
        compared.append(
            Compared(
                measure,
                tuple(_estimate(*pair) for pair in zip(mean, means, strict=True)),
                tuple(_estimate(*pair) for pair in zip(mean - mean[0], gaps, strict=True)),
            )
        )
    return compared


def as_json(collected: Sequence[Collected], compared: Sequence[Compared]) -> dict[str, Any]:
    """The numbers of a comparison."""

    def numbers(estimate: Estimate) -> dict[str, float]:
        return {"value": estimate.value, "low": estimate.low, "high": estimate.high}

    return {
        "presets": [each.preset.label for each in collected],
        "prompts": len(collected[0].tokens),
        "samples": len(collected[0].speeds),
        "measures": {
            each.measure: {
                "unit": MEASURES[each.measure],
                "estimates": [numbers(estimate) for estimate in each.estimates],
                "differences": [numbers(estimate) for estimate in each.differences],
            }
            for each in compared
        },
    }


def _values(collected: Collected, measure: str) -> list[float]:
    """One number for each prompt; for the speed, one for each round."""
    if measure == "speed":
        return collected.speeds
    if measure == "surprise":
        return [_mean([*chain(*samples)]) for samples in collected.surprises]
    by_prompt = collected.tokens
    if measure == "self-BLEU":
        return [text_measures.self_bleu(samples) for samples in by_prompt]
    if measure == "length":
        return [_mean([len(sample) for sample in samples]) for samples in by_prompt]
    if measure == "loops":
        return [_mean([text_measures.loops(sample) for sample in samples]) for samples in by_prompt]
    n = int(measure.removeprefix("distinct-"))
    return [text_measures.distinct(samples, n) for samples in by_prompt]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _estimate(value: float, resampled: Array) -> Estimate:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
