"""What an operator lets requests do: which presets they may name, and which values they may set.

`allow` lists presets. `inline` is whether a request may define a preset itself. `locked` maps
a parameter to its restriction: requests can't set it (`{}`), or its value must lie within bounds,
whichever layer sets it (`{min, max}`). `"*"` stands for all parameters that aren't listed, except
those in `_FREE`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from temperament.errors import Problem, UnknownPreset, nearest, shown
from temperament.presets import Catalogue, Preset
from temperament.presets.fields import SETTINGS
from temperament.presets.generation_fields import SYNONYMS
from temperament.presets.modes import MAX_MODES
from temperament.presets.schedule import Schedule
from temperament.stages import PARAMETERS
from temperament.stages.kinds import TextsKind

EVERY = "*"
NONE = "none"  # the preset below which no layer counts

# Limits of a preset, or of fields, in a request.
MAX_INLINE = 16 * 1024  # characters of the preset as JSON
MAX_STAGES = 64  # of all modes together
MAX_STATES = 256  # bytes of texts that are searched for: each is a state of an automaton

# Parameters that "*" doesn't lock: when to stop, the seed, the number of samples.
_FREE = {"max_tokens", "stop", "seed", "num_return_sequences", "eos_token_id"}
# Generation fields that may have bounds, and their values where no layer sets them.
_NUMBERS = {"max_tokens": float("inf"), "num_return_sequences": 1}


class Bounds(BaseModel):
    """The least and the greatest value of a parameter; with neither, a request can't set it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @property
    def open(self) -> bool:
        """Whether a request may set the parameter at all."""
        return self.min is not None or self.max is not None

    @property
    def allowed(self) -> str:
        """The bounds as text: "at least 0.1 and at most 2"."""
        low = "" if self.min is None else f"at least {self.min:g}"
        high = "" if self.max is None else f"at most {self.max:g}"
        return " and ".join(filter(None, (low, high)))

    def contains(self, value: float) -> bool:
        """Whether a value lies within the bounds, both included."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What requests may name and set; by default everything."""

    # names of presets, or patterns of names; None allows all
    allow: tuple[str, ...] | None = None
    inline: bool = True
    locked: Mapping[str, Bounds] = field(default_factory=dict)

    def allows(self, preset: Preset) -> bool:
        """Whether a request may name a preset of the catalogue."""
        return self.allow is None or any(fnmatchcase(preset.name, name) for name in self.allow)

    def check_name(self, preset: Preset, where: str, catalogue: Catalogue) -> Iterator[Problem]:
        """Yields why a request may not name a preset."""
        if not self.allows(preset):
            allowed = ", ".join(p.name for p in catalogue.values() if self.allows(p))
            message = "this server doesn't allow this preset in requests"
            yield Problem(
                "request",
                where,
                message,
                shown(preset.name),
                allowed or "none",
                reason="restricted",
            )

    def check_inline(self, data: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Problem]:
        """Yields why a request may not define a preset itself, whatever the preset contains."""
        if not self.inline:
            names = ", ".join(p.name for p in catalogue.values() if self.allows(p))
            message, allowed = "this server takes no presets from requests", f"one of: {names}"
            yield Problem("request", "preset", message, shown(data), allowed, reason="restricted")
        elif _length(data) > MAX_INLINE:
            allowed = f"at most {MAX_INLINE} characters"
            yield Problem("request", "preset", "too large", allowed=allowed, reason="restricted")

    def check_contents(self, data: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Problem]:
        """Why a request may not bring this preset: what it extends, which parameters it sets."""
        yield from self.check_parents(data, catalogue, "preset.")
        yield from self.check_parameters(data, "preset.")

    def check_parents(
        self, fields: Mapping[str, Any], catalogue: Catalogue, path: str = ""
    ) -> Iterator[Problem]:
        """Why these fields and their modes may not extend the presets that they name.

        `path` is the prefix of each name in the problems.
        """
        if fields.get("alone") is True:  # the same as naming the preset `none`
            yield from self.check_name(catalogue.get(NONE, Preset(NONE)), f"{path}alone", catalogue)
        parent = fields.get("extends")
        with suppress(UnknownPreset):  # an unknown name is reported with the fields' values
            if isinstance(parent, str):
                yield from self.check_name(catalogue.resolve(parent), f"{path}extends", catalogue)
        modes = dict(_inner(fields, "modes"))
        if len(modes) > MAX_MODES:  # `presets.parsing` refuses that
            return
        for name, mode in modes.items():
            parent = mode.get("extends")
            if isinstance(parent, str) and (parent == name or parent not in modes):
                preset = catalogue.get(parent)  # a mode can't extend an alias
                if preset is not None:
                    yield from self.check_name(preset, f"{path}modes.{name}.extends", catalogue)

    def check_parameters(self, fields: Mapping[str, Any], path: str = "") -> Iterator[Problem]:
        """Why a request may not set these fields, whatever their values.

        Fields inside a mode and inside a section of `models` count too. `path` is put before each
        name in the problems.
        """
        names = [(name, name) for name in fields]
        if fields.get("do_sample") is False and not self._locks("do_sample"):
            names.append(("temperature", "do_sample"))  # it means temperature 0
        if "temperature_scale" in fields and not self._locks("temperature_scale"):
            names.append(("temperature", "temperature_scale"))  # it changes the temperature
        for field_ in ("modes", "models"):
            for inner, values in _inner(fields, field_):
                names += [(name, f"{field_}.{inner}.{name}") for name in values]
                if "temperature_scale" in values and not self._locks("temperature_scale"):
                    names.append(("temperature", f"{field_}.{inner}.temperature_scale"))
        for name, where in names:
            if self._locks(name):
                yield Problem(
                    "request",
                    f"{path}{where}",
                    "this server doesn't let requests set it",
                    allowed="a request without it",
                    reason="restricted",
                )

    def _locks(self, name: Any) -> bool:
        """Whether a request can't set a field."""
        field_ = SYNONYMS.get(name, name) if isinstance(name, str) else name
        bounds = self.locked.get(field_)
        if bounds is None and field_ in (SETTINGS | {"alone"}) - _FREE:
            bounds = self.locked.get(EVERY)
        return bounds is not None and not bounds.open

    def check_values(self, preset: Preset) -> Iterator[Problem]:
        """Which stage parameters of the resolved preset are out of bounds, in any mode."""
        for name, bounds in self.locked.items():
            if not bounds.open or name not in PARAMETERS:
                continue
            parameter = PARAMETERS[name]
            unset = parameter.default if parameter.neutral is None else parameter.neutral
            for mode, chain in preset.chains.items():
                value = chain.values.get(name, unset)
                ends = value[:2] if isinstance(value, Schedule) else (value,)
                if not all(map(bounds.contains, ends)):
                    path = f"modes.{mode}.{name}" if mode else name
                    yield _out_of_bounds(path, value, bounds, name in preset.values)

    def check_generation(self, generation: Mapping[str, Any]) -> Iterator[Problem]:
        """Yields the generation fields of the resolved preset that are out of bounds."""
        for name, bounds in self.locked.items():
            if bounds.open and name in _NUMBERS:
                value = generation.get(name, _NUMBERS[name])
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                if not number or not bounds.contains(value):
                    yield _out_of_bounds(name, value, bounds, name in generation)


def _inner(fields: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The maps in a field that is a map of maps, with their keys."""
    outer = fields.get(name)
    if isinstance(outer, Mapping):
        yield from ((key, value) for key, value in outer.items() if isinstance(value, Mapping))


def inline_size(preset: Preset) -> Iterator[Problem]:
    """Yields why a preset, or a request's fields, are too large for one request."""
    if not preset.modes and not any(
        isinstance(PARAMETERS[name].kind, TextsKind) for name in preset.values
    ):
        return
    stages = sum(len(chain.steps) for chain in preset.chains.values())
    # The texts of a marker are not counted: they come from configs/markers.yaml.
    texts = {text for rule in preset.switch if not rule.on.marker for text in rule.on.texts}
    for values in (preset.values, *(mode.values for mode in preset.modes)):
        for name, value in values.items():
            texts.update(PARAMETERS[name].kind.texts(value))
    states = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    for path, count, most, noun in (
        ("modes", stages, MAX_STAGES, "stages in all of its modes together"),
        ("switch", states, MAX_STATES, "bytes of texts to search for"),
    ):
        if count > most:
            message = "too much for a request; a preset file may have more"
            yield Problem(
                "request", path, message, f"{count} {noun}", f"at most {most}", reason="restricted"
            )


def problems(
    allow: Iterable[str] | None, locked: Mapping[str, Bounds], catalogue: Catalogue, where: str
) -> Iterator[Problem]:
    """Yields the mistakes in an operator's settings `allow` and `locked`; `where` names them."""
    for number, name in enumerate(allow or ()):
        if not any(fnmatchcase(preset, name) for preset in catalogue):
            close = nearest(name, list(catalogue))
            wrong, path = shown(name), f"allow.{number}"
            yield Problem(where, path, "no such preset", wrong, ", ".join(catalogue), close)
    for name, bounds in locked.items():
        if name != EVERY and name not in SETTINGS:
            close = nearest(name, [EVERY, *SETTINGS])
            yield Problem(where, f"locked.{name}", "unknown parameter", nearest=close)
            continue
        number_like = name in _NUMBERS or (name in PARAMETERS and PARAMETERS[name].numeric)
        if bounds.open and not number_like:
            yield Problem(
                where,
                f"locked.{name}",
                "can't have bounds",
                bounds.allowed,
                "{}: requests can't set it",
            )
        if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
            message = "min is greater than max: no value is allowed"
            yield Problem(where, f"locked.{name}", message, bounds.allowed)


def _out_of_bounds(path: str, value: Any, bounds: Bounds, is_set: bool) -> Problem:
    sampled = shown(value) if is_set else f"{shown(value)}, its value when it isn't set"
    message = "out of this server's bounds"
    return Problem("request", path, message, sampled, bounds.allowed, reason="restricted")


def _length(data: Mapping[str, Any]) -> int:
    try:
        return len(json.dumps(data))
    except RecursionError:
        return MAX_INLINE + 1
