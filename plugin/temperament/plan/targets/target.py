"""The type of an engine's description: what it can do, as data.

Each engine is described in a file of this folder. The plan, the server, the command line, the
documents and the exports to its formats all read that one description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from temperament.stages import STAGE_OF

Values = Mapping[str, Any]
How = Literal["native", "residual", "flag", "refused"]

# Stages that keep the same tokens in either order: both keep the tokens that are among the k most
# likely and above a share of the maximum.
COMMUTING: frozenset[frozenset[str]] = frozenset({frozenset({"top_k", "min_p"})})


@dataclass(frozen=True, slots=True)
class Limit:
    """Values that the engine refuses or changes, so that the stage is residual; and the reason."""

    applies: Callable[[Values], bool]
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """What one engine does with one field of a preset.

    `where` is the engine's field, the stage, or the flag. `reason` is a sentence in English and
    Chinese; a refusal always has one. `sets` are further fields that the engine needs beside it.
    """

    how: How
    where: str = ""
    reason: tuple[str, str] = ("", "")
    sets: Mapping[str, Any] = field(default_factory=dict)


def native(where: str, en: str = "", zh: str = "", **sets: Any) -> Route:
    """Returns the route to a field of the engine."""
    return Route("native", where, (en, zh), sets)


def residual(where: str, en: str = "", zh: str = "") -> Route:
    """Returns the route to a stage in Temperament's processor."""
    return Route("residual", where, (en, zh))


def flag(where: str, en: str, zh: str) -> Route:
    """Returns the route to a setting of the engine's start, which no request can change."""
    return Route("flag", where, (en, zh))


def refused(en: str, zh: str) -> Route:
    """Returns the route of a field that the engine can't honour."""
    return Route("refused", "", (en, zh))


@dataclass(frozen=True)
class Target:
    """One engine.

    `order` are the stages that the engine can run for us, in its order; `before` are those of them
    that it runs before the processor. `has` are all stages that it has. `fields` are its sampling
    fields with their neutral values. `generation` are the routes of the fields that no stage reads,
    by their names in a preset. `slow` are the stages that the ops compute faster, as measured, by
    platform.
    """

    name: str
    order: tuple[str, ...]
    before: tuple[str, ...]
    fields: Mapping[str, Any]
    has: frozenset[str]
    generation: Mapping[str, Route]
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    slow: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def route(self, name: str) -> Route:
        """Returns what the engine does with a field of a preset.

        Raises `KeyError` for a generation field that the description doesn't name.
        """
        if name in self.generation:
            return self.generation[name]
        stage = STAGE_OF[name].name
        if name not in self.fields or stage not in self.order:
            return residual(stage)
        return native(
            name,
            f"or the stage {stage}, where the chain's order or the value needs it",
            f"或者在次序、取值需要时由 {stage} 阶段完成",
        )

    @property
    def spellings(self) -> dict[str, str]:
        """The engine's name of each generation field that it has, by its name in a preset."""
        return {name: r.where for name, r in self.generation.items() if r.how == "native"}

    def generation_fields(self, generation: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a preset's generation fields under the engine's names, with lists for tuples.

        Fields that the engine lacks are left out: `plan.documented.refuse` reports them.
        """
        fields: dict[str, Any] = {}
        for name, value in generation.items():
            route = self.generation.get(name)
            if route is not None and route.how == "native":
                fields[route.where] = list(value) if isinstance(value, tuple) else value
                fields |= route.sets
        return fields
