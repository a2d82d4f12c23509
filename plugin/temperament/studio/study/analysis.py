"""The study's statistics: means, quartiles, elasticities and equal entropies, with intervals.

Intervals are of 95 %, by the percentile bootstrap over contexts within each kind of text (Efron and
Tibshirani 1993, chapter 13), from a fixed seed: the same entropies give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from temperament.studio.study.contexts import KINDS
from temperament.studio.study.entropies import Array, Measured
from temperament.studio.study.sweep import VALUES, column, columns

RESAMPLES = 2000
LEVELS = ("low", "middle", "high")  # thirds of the contexts by their entropy


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """Estimates along a parameter: all [points]."""

    x: Array
    value: Array
    low: Array
    high: Array


class Sample:
    """One model's contexts, or some of them, with their resamples."""

    def __init__(self, measured: Measured, rows: Array | None = None) -> None:
        chosen = np.ones(len(measured.kinds), bool) if rows is None else rows.astype(bool)
        self.model = measured.model
        # [contexts, settings]
        self.entropy = measured.entropy[chosen]
        kinds = np.array(measured.kinds)[chosen]
        random = np.random.default_rng(0)
        # [resamples, contexts] how often a resample has each context
        weights = np.zeros((RESAMPLES, len(kinds)))
        for kind in KINDS:
            members = np.flatnonzero(kinds == kind)
            if len(members):
                shares = np.full(len(members), 1 / len(members))
                weights[:, members] = random.multinomial(len(members), shares, RESAMPLES)
        # [settings], [resamples, settings]
        self.mean = self.entropy.mean(0)
        self.means = weights @ self.entropy / len(kinds)

    @property
    def base_entropy(self) -> float:
        """The mean entropy of the distributions before any setting (temperature 1), in nats."""
        return float(self.mean[column("temperature", 1.0)])

    def entropies(self, parameter: str) -> Line:
        """The mean entropy at each value of a parameter."""
        places = columns(parameter)
        return _line(np.array(VALUES[parameter]), self.mean[places], self.means[:, places])

    def quartiles(self, parameter: str) -> tuple[Array, Array]:
        """The first and the third quartile of the contexts' entropies at each value."""
        low, high = np.percentile(self.entropy[:, columns(parameter)], [25, 75], axis=0)
        return low, high

    def relative(self, parameter: str, value: float) -> Estimate:
        """The mean entropy at one setting, as a share of `base_entropy`."""
        place, base = column(parameter, value), column("temperature", 1.0)
        return _estimate(lambda mean: mean[..., place] / mean[..., base], self)

    def difference(self, value: float) -> Estimate:
        """The mean entropy under top_p minus that under temperature, both at `value`.

        As a share of `base_entropy`: negative where top_p leaves less entropy.
        """
        cool, cut = column("temperature", value), column("top_p", value)
        base = column("temperature", 1.0)
        return _estimate(lambda mean: (mean[..., cut] - mean[..., cool]) / mean[..., base], self)

    def lower(self, value: float) -> float:
        """The share of contexts in which top_p leaves less entropy than temperature."""
        cool, cut = column("temperature", value), column("top_p", value)
        return float((self.entropy[:, cut] < self.entropy[:, cool]).mean())

    def elasticities(self, parameter: str) -> Line:
        """`d ln H / d ln x` of the mean entropy H, by central differences between neighbours.

        An elasticity of 2 says: one percent more of the parameter is two percent more entropy.
        Points at which the mean entropy is 0 are left out.
        """
        x = np.array(VALUES[parameter])
        places = columns(parameter)
        positive = self.mean[places] > 1e-6
        x, places = (
            x[positive],
            [place for place, kept in zip(places, positive, strict=True) if kept],
        )

        def slopes(mean: Array) -> Array:
            logs = np.log(np.maximum(mean[..., places], 1e-9))
            slope: Array = (logs[..., 2:] - logs[..., :-2]) / np.log(x[2:] / x[:-2])
            return slope

        return _line(x[1:-1], slopes(self.mean), slopes(self.means))

    def equal(self, parameter: str, temperature: float) -> Estimate | None:
        """The value of a parameter that has the mean entropy of a temperature.

        Interpolated linearly between the settings; None outside their range.
        """
        line = self.equals(parameter)
        place = VALUES["temperature"].index(temperature)
        if np.isnan(line.value[place]):
            return None
        return Estimate(*(float(part[place]) for part in (line.value, line.low, line.high)))

    def equals(self, parameter: str) -> Line:
        """`equal` at each temperature up to 1; NaN where it is None."""
        temperatures = np.array([value for value in VALUES["temperature"] if value <= 1])
        cool = columns("temperature")[: len(temperatures)]
        places, x = columns(parameter), np.array(VALUES[parameter], dtype=np.float64)
        falls = self.mean[places[0]] > self.mean[places[-1]]  # as min_p rises, entropy falls
        if falls:
            places, x = places[::-1], x[::-1]

        def matching(mean: Array) -> Array:
            curve = np.maximum.accumulate(mean[places])
            return np.interp(mean[cool], curve, x, left=np.nan, right=np.nan)

        value = matching(self.mean)
        resampled = np.array([matching(mean) for mean in self.means])
        return _line(temperatures, value, resampled)


def groups(measured: Measured) -> dict[str, Sample]:
    """The sample of all contexts, of each kind, and of each third by the context's entropy."""
    base = measured.entropy[:, column("temperature", 1.0)]
    kinds = np.array(measured.kinds)
    third = np.searchsorted(np.quantile(base, [1 / 3, 2 / 3]), base, side="left")
    samples = {"all": Sample(measured)}
    samples |= {kind: Sample(measured, kinds == kind) for kind in KINDS if kind in kinds}
    samples |= {level: Sample(measured, third == place) for place, level in enumerate(LEVELS)}
    return samples


def matches(measured: Measured, temperature: float = 0.7) -> Array:
    """For each context the top_p that leaves the entropy of a temperature: [contexts].

    A context's entropy rises in steps with top_p; between the settings it is interpolated.
    """
    cool = measured.entropy[:, column("temperature", temperature)]
    cut = np.maximum.accumulate(measured.entropy[:, columns("top_p")], axis=1)
    found = [
        np.interp(target, curve, VALUES["top_p"]) for target, curve in zip(cool, cut, strict=True)
    ]
    return np.array(found)


def explained(measured: Measured) -> dict[str, Estimate]:
    """The share of the variance of `matches` that the context's entropy or kind explains.

    By least squares on the entropy and its square, on the kind, or on both. `rank` is Spearman's
    correlation of the match with the entropy. Resamples without variance have no share.
    """
    base = measured.entropy[:, column("temperature", 1.0)]
    found = matches(measured)
    one = np.ones_like(base)
    entropy = np.stack([one, base, base**2], axis=1)
    kind = np.stack([np.array(measured.kinds) == name for name in KINDS], axis=1).astype(float)
    random = np.random.default_rng(0)
    picks = [random.integers(len(base), size=len(base)) for _ in range(RESAMPLES // 4)]

    def share(features: Array, rows: Any) -> float:
        x, y = features[rows], found[rows]
        variance = ((y - y.mean()) ** 2).sum()
        if variance == 0:  # a small sample may be resampled as one context alone
            return float("nan")
        fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
        return float(1 - ((y - fitted) ** 2).sum() / variance)

    def rank(rows: Any) -> float:
        ranks = [values[rows].argsort().argsort() for values in (base, found)]
        return float(np.corrcoef(*ranks)[0, 1])

    questions: dict[str, Callable[[Any], float]] = {
        "entropy": lambda rows: share(entropy, rows),
        "kind": lambda rows: share(kind, rows),
        "both": lambda rows: share(np.hstack([entropy, kind]), rows),
        "rank": rank,
    }
    shares = {}
    for name, ask in questions.items():
        low, high = np.nanpercentile([ask(rows) for rows in picks], [2.5, 97.5])
        shares[name] = Estimate(ask(slice(None)), float(low), float(high))
    return shares


def numbers(measured: Measured) -> dict[str, Any]:
    """The numbers of the study's tables for one model, as JSON."""
    samples = groups(measured)
    every = samples["all"]
    same = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
    quartiles = {name: every.quartiles(name) for name in ("temperature", "top_p")}
    return {
        "model": measured.model,
        "contexts": len(measured.kinds),
        "own": round(every.base_entropy, 4),
        "same": {
            str(x): {
                **{name: _at(every, name, x, quartiles[name]) for name in quartiles},
                "difference": _rounded(every.difference(x)),
                "lower": round(every.lower(x), 4),
            }
            for x in same
        },
        "elasticity": {name: _slopes(every, name) for name in VALUES},
        "equal": {
            name: {str(t): _rounded(every.equal(name, t)) for t in (0.3, 0.5, 0.7, 0.9)}
            for name in ("top_p", "top_k", "min_p")
        },
        "explained": {name: _rounded(share) for name, share in explained(measured).items()},
        "groups": {
            name: {
                "contexts": len(sample.entropy),
                "own": round(sample.base_entropy, 4),
                "equal": _rounded(sample.equal("top_p", 0.7)),
                "difference": {str(x): _rounded(sample.difference(x)) for x in (0.5, 0.7, 0.9)},
            }
            for name, sample in samples.items()
        },
    }


def _at(
    sample: Sample, parameter: str, value: float, quartiles: tuple[Array, Array]
) -> dict[str, Any]:
    place = VALUES[parameter].index(value)
    line = sample.entropies(parameter)
    return {
        "mean": _rounded(Estimate(*(float(p[place]) for p in (line.value, line.low, line.high)))),
        "quartiles": [round(float(part[place]), 4) for part in quartiles],
        "relative": _rounded(sample.relative(parameter, value)),
    }


def _slopes(sample: Sample, parameter: str) -> dict[str, Any]:
    line = sample.elasticities(parameter)
    values: Mapping[str, tuple[float, ...]] = {
        "temperature": (0.3, 0.5, 0.7, 0.9, 1.0, 1.5),
        "top_p": (0.3, 0.5, 0.7, 0.9, 0.95),
        "top_k": (5, 20, 50, 200),
        "min_p": (0.02, 0.1, 0.3),
    }
    found = {}
    for value in values[parameter]:
        [place] = np.flatnonzero(line.x == value)
        parts = (float(part[place]) for part in (line.value, line.low, line.high))
        found[str(value)] = _rounded(Estimate(*parts))
    return found


def _rounded(estimate: Estimate | None) -> list[float] | None:
    if estimate is None:
        return None
    return [round(part, 4) for part in (estimate.value, estimate.low, estimate.high)]


def _line(x: Array, value: Array, resampled: Array) -> Line:
    """`resampled` is [resamples, points]."""
    with np.errstate(all="ignore"):
        low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    return Line(x, value, low, high)


def _estimate(of: Callable[[Array], Any], sample: Sample) -> Estimate:
    low, high = np.percentile(of(sample.means), [2.5, 97.5])
    return Estimate(float(of(sample.mean)), float(low), float(high))
