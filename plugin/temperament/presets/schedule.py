"""A number that changes with the position in a mode, from one value to another."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

Curve = Literal["linear", "cosine"]
CURVES: tuple[Curve, ...] = get_args(Curve)


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
