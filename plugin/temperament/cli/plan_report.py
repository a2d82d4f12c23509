"""`explain NAME --engine ENGINE`: where each stage and field of a preset runs, and why."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from temperament.cli.mode_drawing import draw
from temperament.cli.output import as_json, table
from temperament.cli.preset_text import equations, summary
from temperament.plan import TARGETS, Decision, Plan, PresetPlan, split_preset
from temperament.plan.targets import ENTRY_POINTS
from temperament.presets import Preset
from temperament.presets.plain import plain_value, plain_values
from temperament.stages import BY_NAME


def plan_report(preset: Preset, arguments: Namespace) -> str:
    """The modes and their switches, the stages of each chain, then the engine's fields.

    `arguments` are those of the command: the engine, its platform, the plan, the language, JSON.
    """
    plan = split_preset(preset, TARGETS[arguments.engine], arguments.plan, arguments.platform)
    generation = _generation(preset, arguments)
    if arguments.json:
        return as_json(_plan_data(preset, plan, generation, arguments))
    on = ", ".join(filter(None, (arguments.engine, arguments.platform, f"plan {arguments.plan}")))
    title = "\n".join(filter(None, (f"{preset.label} on {on}", summary(preset, arguments.lang))))
    fields = table([(name, f"{value}") for name, value in plan.native.items()])
    parts = [title]
    if preset.modes:
        parts.append(draw(preset))
    parts += [_chain(mode, mode_plan) for mode, mode_plan in plan.plans.items()]
    parts.append(f"Fields of {arguments.engine}:\n{fields}")
    if generation:
        rows = [tuple(map(str, row.values())) for row in generation]
        parts.append(table(rows, ("PARAMETER", "VALUE", "ON", "HOW", "WHERE", "REASON")))
    return "\n\n".join(parts)


def _plan_data(
    preset: Preset, plan: PresetPlan, generation: list[dict[str, Any]], arguments: Namespace
) -> dict[str, Any]:
    about = {"preset": preset.label, "engine": arguments.engine}
    about |= {"platform": arguments.platform, "plan": arguments.plan}
    stages = {
        mode: [_decision(decision) for decision in mode_plan.decisions]
        for mode, mode_plan in plan.plans.items()
    }
    if preset.modes:
        about["modes"] = stages
        about |= {"start": preset.start, "switch": [rule.plain() for rule in preset.switch]}
    else:
        about["stages"] = stages[""]
    return {**about, "generation": generation, "fields": plan.native}


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "stage": decision.step.stage,
        "values": plain_values(dict(decision.step.values)),
        "side": decision.side,
        "reason": decision.reason,
        "source": BY_NAME[decision.step.stage].source,
    }


def _chain(mode: str, plan: Plan) -> str:
    """The stages of one mode, under the mode's name."""
    name = f"Mode {mode}:\n" if mode else ""
    rows = [
        (
            str(position),
            decision.step.stage,
            equations(dict(decision.step.values)),
            decision.side,
            decision.reason,
            BY_NAME[decision.step.stage].source,
        )
        for position, decision in enumerate(plan.decisions, 1)
    ]
    if not rows:
        return f"{name}The chain is empty: the model's own distribution."
    return name + table(rows, ("", "STAGE", "VALUES", "RUNS", "REASON", "SOURCE"))


def _generation(preset: Preset, arguments: Namespace) -> list[dict[str, Any]]:
    """What the engine does with each generation field; for vLLM, offline and as a server."""
    rows = []
    for name, value in preset.generation.items():
        for entry_point, target in ENTRY_POINTS.items():
            if target.name != arguments.engine:
                continue
            route = target.route(name)
            row = {"parameter": name, "value": plain_value(name, value), "on": entry_point}
            row |= {
                "how": route.how,
                "where": route.where,
                "reason": route.reason[arguments.lang == "zh"],
            }
            rows.append(row)
    return rows
