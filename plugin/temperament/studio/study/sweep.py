"""The settings tried on each context: one parameter at a time, the others off."""

from __future__ import annotations

import hashlib
import json

VALUES: dict[str, tuple[float, ...]] = {
    "temperature": tuple(round(0.05 * i, 2) for i in range(1, 41)),
    "top_p": (*(round(0.05 * i, 2) for i in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.999, 1.0),
    "top_k": (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 200, 500, 1000),
    "min_p": (0.001, 0.003, 0.01, 0.02, *(round(0.05 * i, 2) for i in range(1, 21))),
}
SETTINGS = tuple({name: value} for name, values in VALUES.items() for value in values)
DIGEST = hashlib.sha256(json.dumps(SETTINGS).encode()).hexdigest()[:12]


def columns(parameter: str) -> list[int]:
    """The places of a parameter's settings in `SETTINGS`, by rising value."""
    return [place for place, setting in enumerate(SETTINGS) if parameter in setting]


def column(parameter: str, value: float) -> int:
    """The place of one setting."""
    return SETTINGS.index({parameter: value})
