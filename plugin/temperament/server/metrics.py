"""The counters of an API server, which vLLM's `/metrics` shows."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from temperament.errors import Problem

# The label of a request with fields of Temperament but no preset, and of one with neither.
FIELDS, NONE = "(fields)", "(none)"


class Metrics:
    """The counters of one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "temperament_requests",
            f"Requests by preset; {FIELDS}: parameters without a preset, {NONE}: neither",
            ["preset"],
            registry=registry,
        )
        self._refusals = Counter(
            "temperament_refusals",
            "Requests that were refused, by reason",
            ["reason"],
            registry=registry,
        )
        self._reloads = Counter(
            "temperament_reloads",
            "Reloads of the presets, by result",
            ["result"],
            registry=registry,
        )
        for result in ("ok", "failed"):
            self._reloads.labels(result)

    def request(self, preset: str) -> None:
        """Counts a request that goes on to the engine."""
        self._requests.labels(preset).inc()

    def refusal(self, problems: Sequence[Problem]) -> None:
        """Counts a refused request, once for each of its reasons."""
        for reason in dict.fromkeys(problem.reason for problem in problems):
            self._refusals.labels(reason).inc()

    def reload(self, *, ok: bool) -> None:
        """Counts a reload of the presets."""
        self._reloads.labels("ok" if ok else "failed").inc()
