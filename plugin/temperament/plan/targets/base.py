"""The type of an engine's description: what it can do, as data.

One file beside this describes each engine. The plan, the server, the command line, the documents
and the exports to its formats all read that one description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from temperament.stages import STAGE_OF

Values = Mapping[str, Any]
How = Literal["native", "ours", "flag", "refused"]

# Stages that give the same set in either order: the k most likely of those above a share of the
# maximum are those among the k most likely that are above it.
COMMUTING: frozenset[frozenset[str]] = frozenset({frozenset({"top_k", "min_p"})})


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that the engine refuses or changes: when that is so, and why we then apply it."""

    applies: Callable[[Values], bool]
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """What one engine does with one field of a preset.

    `where` is the engine's field, our stage, or the flag. `reason` is a sentence in English and
    Chinese; a refusal always has one. `sets` are further fields that the engine needs beside it.
    """

    how: How
    where: str = ""
    reason: tuple[str, str] = ("", "")
    sets: Mapping[str, Any] = field(default_factory=dict)


def native(where: str, en: str = "", zh: str = "", **sets: Any) -> Route:
    """Returns the route to the engine's own field."""
    return Route("native", where, (en, zh), sets)


def ours(where: str, en: str = "", zh: str = "") -> Route:
    """Returns the route to a stage of ours."""
    return Route("ours", where, (en, zh))


def flag(where: str, en: str, zh: str) -> Route:
    """Returns the route of what is set when the engine starts, not by a preset or a request."""
    return Route("flag", where, (en, zh))


def refused(en: str, zh: str) -> Route:
    """Returns the route of what the engine doesn't have."""
    return Route("refused", "", (en, zh))


@dataclass(frozen=True)
class Target:
    """One engine, as a place where a preset may run.

    `order` are the stages that it can run for us, in its own order, `before` those of them that it
    runs before our slot. `has` are all the stages that it has. `fields` are its sampling fields
    with their neutral values. `generation` are the routes of the fields that no stage reads, by
    their names in a preset. `slow` are stages that our own ops were measured to compute faster, by
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
            return ours(stage)
        return native(
            name,
            f"or our stage {stage}, where the chain's order or the value needs it",
            f"或者在次序、取值需要时由我们的 {stage} 阶段完成",
        )

    @property
    def spellings(self) -> dict[str, str]:
        """The engine's names of the generation fields that it has, by ours."""
        return {name: r.where for name, r in self.generation.items() if r.how == "native"}

    def written(self, generation: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a preset's generation fields as the engine's own: its names, lists for tuples.

        What the engine hasn't is left out: `plan.documented.refuse` reports it.
        """
        fields: dict[str, Any] = {}
        for name, value in generation.items():
            route = self.generation.get(name)
            if route is not None and route.how == "native":
                fields[route.where] = list(value) if isinstance(value, tuple) else value
                fields |= route.sets
        return fields
