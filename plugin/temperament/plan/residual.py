"""A preset with all of its modes, divided into native and residual stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from temperament.plan.split import Choice, Decision, Plan, split
from temperament.plan.targets import Target
from temperament.presets.chain import Chain, Step
from temperament.presets.mode_checks import without_never
from temperament.presets.modes import Rule
from temperament.presets.preset import Preset
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME
from temperament.stages.base import Need


@dataclass(frozen=True)
class Residual:
    """The residual chains of a preset, one for each mode, and the rules between the modes.

    A preset without modes has one chain, named "".
    """

    chains: Mapping[str, Chain] = field(default_factory=lambda: {"": Chain()})
    start: str = ""
    switch: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        return any(self.chains.values())

    @property
    def steps(self) -> Iterator[Step]:
        """The steps of all chains."""
        return (step for chain in self.chains.values() for step in chain.steps)

    @property
    def names(self) -> frozenset[str]:
        """The names of all stages."""
        return frozenset(step.stage for step in self.steps)

    @property
    def most_tokens(self) -> int | None:
        """The most tokens that are left in any mode, by `top_k`; None if a mode has no such bound.

        Tokens that tie with the last one aren't counted.
        """
        bounds = [_most_tokens(chain) for chain in self.chains.values()]
        return None if None in bounds else max(bound for bound in bounds if bound is not None)

    @property
    def needs(self) -> frozenset[Need]:
        """What the stages need beside their parameters: history, noise, ..."""
        return frozenset[Need]().union(*(chain.needs for chain in self.chains.values()))


@dataclass(frozen=True)
class PresetPlan:
    """A plan for each mode; the native stages are the same in all of them."""

    target: Target
    plans: Mapping[str, Plan]
    residual: Residual

    @property
    def native(self) -> dict[str, Any]:
        """All sampling fields of the engine, as `Plan.native` has them."""
        return next(iter(self.plans.values())).native

    @property
    def native_values(self) -> dict[str, Any]:
        """The parameters of the native stages."""
        return next(iter(self.plans.values())).side("native").values


def split_preset(
    preset: Preset, target: Target, choice: Choice = "auto", platform: str | None = None
) -> PresetPlan:
    """Divides a preset between an engine and the processor, as `split` divides a chain.

    In a preset with modes a stage is native if all modes begin with it and the engine runs it
    before the processor. The engine's temperature and cuts run after the processor, and so after
    stages that may differ between modes. Rules that never apply on the model, and the modes to
    which only they lead, are left out.
    """
    preset = without_never(preset)
    chains = preset.chains
    if len(set(chains.values())) == 1:
        plan = split(next(iter(chains.values())), target, choice, platform)
        return PresetPlan(target, dict.fromkeys(chains, plan), Residual({"": plan.residual}))
    early = replace(target, order=target.before)
    common = split(Chain(_common(chains)), early, choice, platform)
    native = common.side("native").steps
    plans = {
        name: _mode_plan(chain, len(native), split(chain, target, "residual", platform), target)
        for name, chain in chains.items()
    }
    residual = {name: plan.residual for name, plan in plans.items()}
    return PresetPlan(target, plans, Residual(residual, preset.start, preset.switch))


def _most_tokens(chain: Chain) -> int | None:
    bounds = []
    for step in chain.steps:
        values = dict(step.values)
        if BY_NAME[step.stage].greedy_when(values):
            bounds.append(1)
        elif step.stage == "top_k":
            k = values["top_k"]
            bounds.append(int(max(k.start, k.end) if isinstance(k, Schedule) else k))
    return min(bounds, default=None)


def _common(chains: Mapping[str, Chain]) -> tuple[Step, ...]:
    """The steps with which all chains begin."""
    common = []
    for steps in zip(*(chain.steps for chain in chains.values()), strict=False):
        if len(set(steps)) > 1:
            break
        common.append(steps[0])
    return tuple(common)


def _mode_plan(chain: Chain, native: int, plan: Plan, target: Target) -> Plan:
    """The plan of one mode; the first `native` stages are those of all modes."""
    same = f"the same in every mode, and {target.name} runs it before the processor"
    differs = "the preset has modes: stages that differ between them run in the processor"
    decisions = list(plan.decisions)
    for position, decision in enumerate(decisions):
        if position < native:
            decisions[position] = Decision(decision.step, "native", same)
        elif decision.side == "residual" and target.order:
            decisions[position] = Decision(decision.step, "residual", differs)
    return Plan(target, tuple(decisions))
