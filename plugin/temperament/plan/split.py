"""Which stages the engine does natively, which are left to us, and why."""

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
    """Where one stage of a chain runs, and the reason in a sentence."""

    step: Step
    side: Side
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A chain, divided between an engine and us."""

    target: Target
    decisions: tuple[Decision, ...]

    def side(self, side: Side) -> Chain:
        """The stages on one side, in order."""
        return Chain(tuple(d.step for d in self.decisions if d.side == side))

    @property
    def residual(self) -> Chain:
        """The stages that we run."""
        return self.side("residual")

    @property
    def native(self) -> dict[str, Any]:
        """Every sampling field of the engine: set where native, neutral everywhere else."""
        fields = dict(self.target.fields)
        values = self.side("native").values
        named = {name: value for name, value in values.items() if name in fields}
        return fields | plain_values(named)


def split(
    chain: Chain, target: Target, choice: Choice = "auto", platform: str | None = None
) -> Plan:
    """Divides `chain` between `target` and us so that the result is what the chain says.

    A chain is native as a whole if the engine has every stage, in an order with the same result,
    and takes every value; otherwise the stages that the engine runs before our slot may stay
    native, and the rest is residual. `auto` also takes a stage from an engine that is slower than
    we are on this `platform`; `native` doesn't, and `residual` gives everything to us.
    """
    live, idle = _without_idle(chain)
    reasons = [_unable(step, target) for step in live]
    decisions: list[Decision] = []
    if not target.order:
        decisions = [
            Decision(step, "residual", f"runs in our processor on {target.name}") for step in live
        ]
    elif choice == "residual":
        decisions = [Decision(step, "residual", "forced: plan is residual") for step in live]
    else:
        slow = target.slow.get(platform or "", frozenset()) if choice == "auto" else frozenset()
        reasons = [
            f"measured faster than {target.name}'s own {step.stage} on {platform}"
            if reason is None and step.stage in slow
            else reason
            for step, reason in zip(live, reasons, strict=True)
        ]
        whole = next(filter(None, reasons), None) or _misordered(live, target)
        if whole is None:
            decisions = [
                Decision(step, "native", f"{target.name} does the same, in the same order")
                for step in live
            ]
        else:
            prefix = _prefix(live, target, reasons)
            for position, step in enumerate(live):
                if position < prefix:
                    why = f"{target.name} does the same, before our slot"
                    decisions.append(Decision(step, "native", why))
                else:
                    decisions.append(Decision(step, "residual", reasons[position] or whole))
    decisions += [Decision(step, "idle", "temperature 0 leaves one token") for step in idle]
    return Plan(target, tuple(decisions))


def _without_idle(chain: Chain) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    for position, step in enumerate(chain.steps):
        if BY_NAME[step.stage].greedy_when(dict(step.values)):
            return chain.steps[: position + 1], chain.steps[position + 1 :]
    return chain.steps, ()


def _unable(step: Step, target: Target) -> str | None:
    if step.stage not in target.order:
        return f"{target.name} has no {step.stage}"
    values = dict(step.values)
    if any(isinstance(value, Schedule) for value in values.values()):
        return f"{target.name} has no schedules"
    for limit in target.limits.get(step.stage, ()):
        if limit.applies(values):
            return limit.reason
    return None


def _misordered(steps: tuple[Step, ...], target: Target) -> str | None:
    rank = {name: position for position, name in enumerate(target.order)}
    for later in range(len(steps)):
        for earlier in range(later):
            first, second = steps[earlier].stage, steps[later].stage
            if rank[first] > rank[second] and frozenset({first, second}) not in COMMUTING:
                return f"{target.name} applies {second} before {first}"
    return None


def _prefix(steps: tuple[Step, ...], target: Target, reasons: list[str | None]) -> int:
    rank = {name: position for position, name in enumerate(target.before)}
    last = -1
    for position, step in enumerate(steps):
        if reasons[position] is not None or rank.get(step.stage, -1) <= last:
            return position
        last = rank[step.stage]
    return len(steps)
