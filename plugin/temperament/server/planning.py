"""A request's plan, and the cache in which the plans of equal requests are kept."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

from temperament.errors import Problem
from temperament.plan import PresetPlan
from temperament.presets import Catalogue, Preset
from temperament.presets.parsing import too_large
from temperament.server.endpoints import Endpoint
from temperament.server.incoming import Incoming

MAX_PLANS = 1024  # plans that are kept, one for each combination of preset and fields
MAX_KEPT = 4096  # characters of the fields as JSON: larger plans would fill the memory

# The preset's name or label, the fields as JSON, the endpoint.
Key = tuple[str | None, str, Endpoint]


class TakesLong(Exception):  # noqa: N818 - it is no error
    """A plan isn't known yet, and its texts have to be tried on the whole vocabulary."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A request's resolved layers, their plan, and the reasons for a refusal, if there are any."""

    preset: Preset
    plan: PresetPlan
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanCache:
    """The plans of earlier requests, which threads share. A plan with problems is not kept."""

    # the least recently used ones first
    _plans: dict[Key, Planned] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __len__(self) -> int:
        return len(self._plans)

    def get(self, key: Key | None) -> Planned | None:
        """Returns the plan that was kept under a key."""
        if key is None:
            return None
        with self._lock:
            planned = self._plans.pop(key, None)
            if planned is not None:
                self._plans[key] = planned
        return planned

    def keep(self, key: Key | None, planned: Planned) -> None:
        """Keeps a plan; in a full cache it replaces the least recently used one."""
        if key is None or planned.problems:
            return
        with self._lock:
            self._plans[key] = planned
            if len(self._plans) > MAX_PLANS:
                del self._plans[next(iter(self._plans))]


def plan_key(preset: Preset | None, request: Incoming, catalogue: Catalogue) -> Key | None:
    """Returns the key of a request's plan; None if the fields are too large to keep."""
    name = None
    if preset is not None:
        listed = catalogue.get(preset.name) is preset
        name = preset.name if listed else preset.label
    if too_large(request.fields):
        return None
    with suppress(RecursionError):
        text = json.dumps(request.fields)  # as text, 1, 1.0 and true differ
        return (name, text, request.endpoint) if len(text) <= MAX_KEPT else None
    return None
