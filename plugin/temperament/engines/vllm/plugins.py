"""Finds the installed vLLM plugins that `VLLM_PLUGINS` leaves out, and a value that leaves out
none.

`VLLM_PLUGINS` is one allowlist for every group of plugins: a server started with
`VLLM_PLUGINS=temperament` also loses hardware platforms, LoRA resolvers, IO processors and stat
loggers. Without the variable vLLM loads all of these, but no endpoint plugin, such as
Temperament's (read in `vllm/plugins/__init__.py`, 0.32.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

VARIABLE = "VLLM_PLUGINS"
NAME = "temperament"
# The groups of which vLLM loads every plugin if the variable isn't set.
GROUPS = (
    "vllm.platform_plugins",
    "vllm.general_plugins",
    "vllm.io_processor_plugins",
    "vllm.stat_logger_plugins",
)


def ours_is_named(environment: Mapping[str, str]) -> bool:
    """Returns whether vLLM's server loads the endpoint plugin."""
    return NAME in environment.get(VARIABLE, "").split(",")


def installed() -> dict[str, str]:
    """Returns the installed plugins of these groups: each name with its group."""
    return {point.name: group for group in GROUPS for point in entry_points(group=group)}


def left_out(environment: Mapping[str, str]) -> list[str]:
    """Returns the installed plugins that `VLLM_PLUGINS` leaves out, as `name (group)`."""
    if VARIABLE not in environment:
        return []
    allowed = environment[VARIABLE].split(",")
    return [f"{name} ({group})" for name, group in installed().items() if name not in allowed]


def all_of_them(environment: Mapping[str, str]) -> str:
    """Returns the `VLLM_PLUGINS` with which vLLM loads Temperament beside all that it loads now.

    A value that is set stays, with Temperament's name added: its author chose what to leave out.
    """
    names = environment[VARIABLE].split(",") if VARIABLE in environment else [*installed()]
    return ",".join(dict.fromkeys([*filter(None, names), NAME]))
