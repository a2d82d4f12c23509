"""The operator's settings: the `temperament` part of vLLM's `--additional-config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from temperament.errors import PresetError, Problem, nearest, shown
from temperament.plan import Choice
from temperament.presets.temperature_scales import WEIGHTS
from temperament.server.restrictions import Bounds

WHERE = "additional_config.temperament"

# setting -> what it allows, as messages show it
ALLOWED = {
    "presets": "a list of paths of preset files and of folders with such files",
    "default": "the name of a preset",
    "temperature_scale": WEIGHTS,
    "plan": "auto, native or residual",
    "playground": "true or false",
    "advertise": "true or false",
    "allow": "a list of names of presets, or of patterns of names ('code*')",
    "inline": "true or false",
    "locked": "a map of parameters to {}, which no request can set, or to {min: a number, max: a"
    " number}",
}


class Settings(BaseModel):
    """Which presets are loaded and offered, the default, the plan, and what requests may do."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # files and folders of presets; a later preset replaces an earlier one of the same name
    presets: list[str] = Field(default=[])
    # the default preset, which applies to every request
    default: str | None = None
    # `weights`: every temperature is one of the weights, whatever scale a preset names
    temperature_scale: Literal["weights"] | None = None
    # whether chains run natively: `auto`, `native`, `residual`
    plan: Choice = "auto"
    # whether the server answers the page at /playground/
    playground: bool = False
    # whether `GET /v1/models` also lists MODEL:PRESET
    advertise: bool = False
    # the presets that a request may name, or patterns of names; None allows all
    allow: list[str] | None = None
    # whether a request may define a preset itself
    inline: bool = True
    # parameters that a request can't set, or only within bounds
    locked: dict[str, Bounds] = Field(default={})

    @property
    def promises(self) -> list[str]:
        """The settings that apply to every request, by name."""
        kept = {
            "default": self.default is not None,
            "allow": self.allow is not None,
            "inline": not self.inline,
            "locked": bool(self.locked),
        }
        return [name for name, is_set in kept.items() if is_set]


def read(additional_config: Any) -> Settings:
    """Returns the settings in vLLM's additional config.

    Raises `PresetError` with every problem.
    """
    content = additional_config.get("temperament", {}) if _is_map(additional_config) else {}
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise PresetError(map(_problem, error.errors(include_url=False))) from None


def _problem(details: ErrorDetails) -> Problem:
    path = [str(part) for part in details["loc"] if part != "[key]"]
    if details["type"] == "extra_forbidden":
        names = list(Settings.model_fields if len(path) == 1 else Bounds.model_fields)
        allowed = ", ".join(names)
        return Problem(WHERE, ".".join(path), "unknown name", "", allowed, nearest(path[-1], names))
    allowed = ALLOWED[path[0]] if path else f"a map of {', '.join(ALLOWED)}"
    return Problem(WHERE, ".".join(path), "not allowed", shown(details["input"]), allowed)


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)
