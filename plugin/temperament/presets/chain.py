"""A chain: the stages that a row really uses, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from temperament.stages import BY_NAME, RANK, STAGE_OF, STAGES


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
        """The stages' names, in order: the chain's shape."""
        return tuple(step.stage for step in self.steps)

    @property
    def values(self) -> dict[str, Any]:
        """Every parameter of every stage in the chain."""
        return {name: value for step in self.steps for name, value in step.values}

    @classmethod
    def of(cls, values: Mapping[str, Any], order: Sequence[str] = ()) -> Chain:
        """The chain that checked parameter `values` describe.

        `order` names stages from temperature on; those that it doesn't name follow in the
        default order, and biases and penalties stand before all of them.
        """
        place = {name: position for position, name in enumerate(order)}

        def key(step: Step) -> tuple[int, int]:
            if not BY_NAME[step.stage].movable:
                return (-1, RANK[step.stage])
            return (place.get(step.stage, len(place)), RANK[step.stage])

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
        return cls(tuple(sorted(steps, key=key)))
