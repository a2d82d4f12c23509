"""A whole preset, modes and all, divided between an engine and us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from temperament.plan.split import Choice, Decision, Plan, split
from temperament.plan.targets import Target
from temperament.presets.chain import Chain, Step
from temperament.presets.modes import Rule
from temperament.presets.preset import Preset
from temperament.stages.base import Need


@dataclass(frozen=True)
class Residual:
    """What we run for a request: a chain for each mode, and how the text goes through them.

    Without modes it is one chain, named "".
    """

    chains: Mapping[str, Chain] = field(default_factory=lambda: {"": Chain()})
    start: str = ""
    switch: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        return any(self.chains.values())

    @property
    def steps(self) -> Iterator[Step]:
        """Every stage of every mode."""
        return (step for chain in self.chains.values() for step in chain.steps)

    @property
    def names(self) -> frozenset[str]:
        """The stages of all modes."""
        return frozenset(step.stage for step in self.steps)

    @property
    def needs(self) -> frozenset[Need]:
        """What the stages of all modes must be given."""
        return frozenset[Need]().union(*(chain.needs for chain in self.chains.values()))


@dataclass(frozen=True)
class PresetPlan:
    """A plan for each mode; what is native is the same in all of them."""

    target: Target
    plans: Mapping[str, Plan]
    residual: Residual

    @property
    def native(self) -> dict[str, Any]:
        """Every sampling field of the engine, as in `Plan`."""
        return next(iter(self.plans.values())).native

    @property
    def native_values(self) -> dict[str, Any]:
        """The parameters that the engine acts on."""
        return next(iter(self.plans.values())).side("native").values


def split_preset(
    preset: Preset, target: Target, choice: Choice = "auto", platform: str | None = None
) -> PresetPlan:
    """Divides a preset. With modes, a stage is native only where it is the same in all of them.

    That is: the stages with which every mode begins, as far as the engine runs them before our
    slot. The engine's own temperature and cuts come behind our slot, and so behind what differs.
    """
    chains = preset.chains
    if len(set(chains.values())) == 1:
        plan = split(next(iter(chains.values())), target, choice, platform)
        return PresetPlan(target, dict.fromkeys(chains, plan), Residual({"": plan.residual}))
    early = replace(target, order=target.before)
    common = split(Chain(_common(chains)), early, choice, platform)
    native = common.side("native").steps
    plans = {
        name: _rest(chain, len(native), split(chain, target, "residual", platform), target)
        for name, chain in chains.items()
    }
    residual = {name: plan.residual for name, plan in plans.items()}
    return PresetPlan(target, plans, Residual(residual, preset.start, preset.switch))


def _common(chains: Mapping[str, Chain]) -> tuple[Step, ...]:
    shortest = []
    for steps in zip(*(chain.steps for chain in chains.values()), strict=False):
        if len(set(steps)) > 1:
            break
        shortest.append(steps[0])
    return tuple(shortest)


def _rest(chain: Chain, native: int, plan: Plan, target: Target) -> Plan:
    """The plan of one mode, whose first `native` stages are those of all modes."""
    same = f"the same in every mode; {target.name} does it before our slot"
    ours = "the preset has modes: what they don't share is run in our slot"
    decisions = []
    for position, decision in enumerate(plan.decisions):
        made = decision
        if position < native:
            made = Decision(decision.step, "native", same)
        elif decision.side == "residual" and target.order:
            made = Decision(decision.step, "residual", ours)
        decisions.append(made)
    return Plan(target, tuple(decisions))
