"""A number that changes with the position in a mode, from one value to another."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

Curve = Literal["linear", "cosine"]
CURVES: tuple[Curve, ...] = get_args(Curve)
# The Taylor series of sin(y) / y in y^2. Its error is below 1e-17 for y up to pi / 2.
SINE_SERIES = (
    1.0,
    -1 / 6,
    1 / 120,
    -1 / 5040,
    1 / 362880,
    -1 / 39916800,
    1 / 6227020800,
    -1 / 1307674368000,
    1 / 355687428096000,
    -1 / 121645100408832000,
)


class Schedule(NamedTuple):
    """`start` at the mode's first token, `end` from its token number `over` on (the first is 0).

    In between, the value is `start + share * (end - start)`, where the share is `position / over`
    (linear) or `(1 - cos(pi * position / over)) / 2` (cosine). A preset without modes is one mode.
    """

    start: float
    end: float
    over: int
    curve: Curve = "linear"

    def __repr__(self) -> str:
        return f"{self.start:g} to {self.end:g} over {self.over} tokens ({self.curve})"

    def plain(self) -> dict[str, Any]:
        """Returns the map of a preset file."""
        return {"from": self.start, "to": self.end, "over": self.over, "curve": self.curve}
