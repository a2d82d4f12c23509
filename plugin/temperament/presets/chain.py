"""A chain: the stages that aren't neutral, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from temperament.stages import BY_NAME, RANK, STAGE_OF, STAGES
from temperament.stages.base import Need


@dataclass(frozen=True, slots=True)
class Step:
    """A stage with all of its parameters set."""

    stage: str
    values: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.values)


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages in the order in which they run; neutral ones are not in it. Hashable."""

    steps: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.steps))})"

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, in order."""
        return tuple(step.stage for step in self.steps)

    @property
    def values(self) -> dict[str, Any]:
        """Every parameter of every stage in the chain."""
        return {name: value for step in self.steps for name, value in step.values}

    @property
    def needs(self) -> frozenset[Need]:
        """What the stages read beside their parameters."""
        return frozenset[Need]().union(*(BY_NAME[step.stage].needs for step in self.steps))

    @property
    def draws(self) -> bool:
        """Whether one of its stages draws the token itself, with the row's seed."""
        return any(BY_NAME[step.stage].draws for step in self.steps)

    @classmethod
    def of(cls, values: Mapping[str, Any], order: Sequence[str] = ()) -> Chain:
        """The chain of checked parameter `values`.

        Biases and penalties come first. The movable stages follow: those that `order` names, then
        the others in the default order. The stages that must be last end the chain. A stage that
        replaces the cuts takes their place.
        """
        place = {name: position for position, name in enumerate(order)}

        def key(step: Step) -> tuple[int, int]:
            stage = BY_NAME[step.stage]
            fixed = {"bias": -1, "penalty": -1, "last": len(place) + 1}
            return fixed.get(stage.group, place.get(stage.name, len(place))), RANK[stage.name]

        used = {STAGE_OF[name].name for name in values}
        steps = []
        for stage in STAGES:
            if stage.name not in used:
                continue
            settings = tuple(
                (parameter.name, values.get(parameter.name, parameter.unset))
                for parameter in stage.parameters
            )
            if not stage.is_neutral(dict(settings)):
                steps.append(Step(stage.name, settings))
        if any(BY_NAME[step.stage].replaces_cuts for step in steps):
            steps = [
                step
                for step in steps
                if BY_NAME[step.stage].group != "cut" or BY_NAME[step.stage].replaces_cuts
            ]
        return cls(tuple(sorted(steps, key=key)))
