"""Which stages of a chain are native, which are residual, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from temperament.plan.targets import COMMUTING, Target
from temperament.presets.chain import Chain, Step
from temperament.presets.plain import plain_values
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME

Choice = Literal["auto", "native", "residual"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
Side = Literal["native", "residual", "idle"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Where one stage runs, and why. An `idle` stage doesn't run, since it would change nothing."""

    step: Step
    side: Side
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A chain, divided between an engine and the processor."""

    target: Target
    decisions: tuple[Decision, ...]

    def side(self, side: Side) -> Chain:
        """Returns the stages on one side, in order."""
        return Chain(tuple(d.step for d in self.decisions if d.side == side))

    @property
    def residual(self) -> Chain:
        """The stages that the processor runs."""
        return self.side("residual")

    @property
    def native(self) -> dict[str, Any]:
        """All sampling fields of the engine: those of native stages set, the others neutral."""
        fields = dict(self.target.fields)
        values = self.side("native").values
        named = {name: value for name, value in values.items() if name in fields}
        return fields | plain_values(named)


def split(
    chain: Chain, target: Target, choice: Choice = "auto", platform: str | None = None
) -> Plan:
    """Divides `chain` between an engine and the processor, with the same result as the chain.

    All of it is native if the engine has every stage, takes every value, and runs the stages in an
    order with the same result. Otherwise the first stages are native as far as the engine runs
    them before the processor, and the others are residual.

    `choice` is `auto`; `native` to leave a stage to the engine even if the op is faster on this
    `platform`; or `residual` to run all stages in the processor.
    """
    live, idle = _split_idle(chain)
    reasons = [_why_residual(step, target) for step in live]
    decisions: list[Decision] = []
    if not target.order:
        decisions = [
            Decision(step, "residual", f"runs in the processor on {target.name}") for step in live
        ]
    elif choice == "residual":
        decisions = [Decision(step, "residual", "forced: plan is residual") for step in live]
    else:
        slow = target.slow.get(platform or "", frozenset()) if choice == "auto" else frozenset()
        reasons = [
            f"measured faster than {target.name}'s {step.stage} on {platform}"
            if reason is None and step.stage in slow
            else reason
            for step, reason in zip(live, reasons, strict=True)
        ]
        obstacle = next(filter(None, reasons), None) or _order_conflict(live, target)
        if obstacle is None:
            decisions = [
                Decision(step, "native", f"{target.name} does the same, in the same order")
                for step in live
            ]
        else:
            prefix = _native_prefix(live, target, reasons)
            for position, step in enumerate(live):
                if position < prefix:
                    why = f"{target.name} does the same, before the processor"
                    decisions.append(Decision(step, "native", why))
                else:
                    decisions.append(Decision(step, "residual", reasons[position] or obstacle))
    decisions += [Decision(step, "idle", "temperature 0 leaves one token") for step in idle]
    return Plan(target, tuple(decisions))


def _split_idle(chain: Chain) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Returns the steps up to a temperature of 0, and those after it, which change nothing."""
    for position, step in enumerate(chain.steps):
        if BY_NAME[step.stage].greedy_when(dict(step.values)):
            return chain.steps[: position + 1], chain.steps[position + 1 :]
    return chain.steps, ()


def _why_residual(step: Step, target: Target) -> str | None:
    """Returns why the engine can't run a step, None if it can."""
    if step.stage not in target.order:
        return f"{target.name} has no {step.stage}"
    values = dict(step.values)
    if any(isinstance(value, Schedule) for value in values.values()):
        return f"{target.name} has no schedules"
    for limit in target.limits.get(step.stage, ()):
        if limit.applies(values):
            return limit.reason
    return None


def _order_conflict(steps: tuple[Step, ...], target: Target) -> str | None:
    """Returns how the engine's order differs in its result, None if it doesn't."""
    rank = {name: position for position, name in enumerate(target.order)}
    for later in range(len(steps)):
        for earlier in range(later):
            first, second = steps[earlier].stage, steps[later].stage
            if rank[first] > rank[second] and frozenset({first, second}) not in COMMUTING:
                return f"{target.name} applies {second} before {first}"
    return None


def _native_prefix(steps: tuple[Step, ...], target: Target, reasons: list[str | None]) -> int:
    """Returns how many of the first steps the engine runs, in order, before the processor."""
    rank = {name: position for position, name in enumerate(target.before)}
    last = -1
    for position, step in enumerate(steps):
        if reasons[position] is not None or rank.get(step.stage, -1) <= last:
            return position
        last = rank[step.stage]
    return len(steps)
