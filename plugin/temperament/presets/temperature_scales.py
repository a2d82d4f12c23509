"""How a temperature on the scale of a vendor's API becomes one of the local weights."""

from __future__ import annotations

from dataclasses import dataclass

DIGITS = 10  # to which computed numbers are rounded: 1.3 - 0.7 becomes 0.6


@dataclass(frozen=True, slots=True)
class Piece:
    """A linear piece of a scale: a temperature t up to `up_to` becomes `t * times + plus`."""

    up_to: float
    times: float
    plus: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A piecewise linear map from temperatures on a scale to those of the weights; its source."""

    pieces: tuple[Piece, ...]
    source: str

    def local(self, value: float) -> float | None:
        """Returns the temperature of the weights; None above the end of the scale."""
        for piece in self.pieces:
            if value <= piece.up_to:
                return round(value * piece.times + piece.plus, DIGITS)
        return None
