"""The scales on which vendors' APIs take a temperature: `configs/temperature_scales.yaml`.

A temperature on a scale becomes one of the weights where a preset's chain is built, and nowhere
else: see `Preset.drawn`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from temperament.errors import PresetError
from temperament.presets import source
from temperament.presets.markers import configs
from temperament.presets.schedule import Schedule

DIGITS = 10  # to which computed numbers are rounded: 1.3 - 0.7 becomes 0.6
WEIGHTS = "weights"  # the scale that takes a number as it stands
# The scale of numbers that are the model's own: what its vendor recommends for its weights, and
# its generation_config.json. A preset or a request can't name it.
MODEL = "model"


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

    @property
    def end(self) -> float:
        """The highest temperature on the scale."""
        return self.pieces[-1].up_to

    def local(self, value: float) -> float | None:
        """Converts a temperature on the scale to one of the weights; None above the scale's end."""
        for piece in self.pieces:
            if value <= piece.up_to:
                return round(value * piece.times + piece.plus, DIGITS)
        return None

    def stated(self, value: float) -> float | None:
        """Converts a temperature of the weights to one on the scale; None above the scale's end."""
        for piece in self.pieces:
            found = round((value - piece.plus) / piece.times, DIGITS)
            if found <= piece.up_to:
                return found
        return None


@cache
def scales() -> Mapping[str, Scale]:
    """The scales on models for which they weren't published. Raises `PresetError`."""
    return MappingProxyType(
        {
            name: Scale(pieces(entry["pieces"]), f"{cited(entry)}; {entry['elsewhere']}")
            for name, entry in _entries().items()
        }
    )


def published(name: str, entry: Mapping[str, Any]) -> Scale | None:
    """Returns the scale of an entry in a family's file; None if there is no scale of that name.

    Without `pieces` the entry has the numbers of `configs/temperature_scales.yaml`.
    """
    common = _entries().get(name)
    if common is None:
        return None
    return Scale(pieces(entry.get("pieces") or common["pieces"]), cited(entry))


def names() -> tuple[str, ...]:
    """The names that `temperature_scale` may have."""
    return (WEIGHTS, *_entries())


def is_scale(name: str) -> bool:
    """Whether the name is that of an API's scale, whose numbers are converted."""
    return name not in ("", WEIGHTS, MODEL)


def numbers(value: Any) -> Iterator[float]:
    """The temperatures in a checked value: both ends of a schedule, none if the value is None."""
    if isinstance(value, Schedule):
        yield from (float(value.start), float(value.end))
    elif value is not None:
        yield float(value)


def local(value: Any, scale: Scale) -> Any:
    """Converts a checked temperature, or a schedule of it, to the weights.

    A number above the end of the scale stays as it is; such a preset is refused (`Preset.unbound`).
    """
    mapped = [value if (on := scale.local(value)) is None else on for value in numbers(value)]
    if isinstance(value, Schedule):
        return value._replace(start=mapped[0], end=mapped[1])
    return mapped[0]


def pieces(entries: Any) -> tuple[Piece, ...]:
    """The pieces of a scale from the maps of a file."""
    return tuple(Piece(e["up_to"], e.get("times", 1.0), e.get("plus", 0.0)) for e in entries)


def cited(entry: Mapping[str, Any]) -> str:
    """An entry's source, with the month in which it was read."""
    return f"{entry['source']}, read {entry['read']}"


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    document = source.read(configs() / "temperature_scales.yaml")
    if document.problems:
        raise PresetError(document.problems)
    entries: Mapping[str, Mapping[str, Any]] = document.data
    return entries
