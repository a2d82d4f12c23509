"""`list`, `show`, `check`, `explain` and `schema`: what presets set and where their stages run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temperament.cli.mode_drawing import draw, switches
from temperament.cli.output import AddCommand, as_json, table
from temperament.cli.picking_report import picking_report
from temperament.errors import PresetError
from temperament.plan import TARGETS, Decision, Plan, split_preset
from temperament.plan.split import CHOICES
from temperament.plan.targets import ENTRY_POINTS
from temperament.presets import Catalogue, Preset, truncation
from temperament.presets.groups import in_groups
from temperament.presets.json_schema import json_schema
from temperament.presets.plain import plain_value, plain_values
from temperament.stages import BY_NAME


def add(command: AddCommand, language: str) -> None:
    """Adds the commands to the command line; `language` is the default of `--lang`."""
    list_parser = command("list", list_presets, "every preset: aliases, parameters, summary")
    show_parser = command("show", show, "everything about one preset")
    check_parser = command("check", check, "reports every problem of preset files")
    explain_parser = command(
        "explain", explain, "which stages an engine runs, which we run, and why"
    )
    command("schema", schema, "the JSON Schema of preset files, for editors")

    check_parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="preset files or folders of them"
    )
    for parser in (show_parser, explain_parser):
        parser.add_argument("name", metavar="NAME", help="a preset's name or alias")
    asked = explain_parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--engine", choices=sorted(TARGETS))
    asked.add_argument(
        "--request", metavar="FILE", help="a request's body: which rule of auto takes it, and why"
    )
    for parser in (list_parser, show_parser, check_parser, explain_parser):
        parser.add_argument(
            "--model",
            default="",
            help="a model's name, or a folder with its config.json; check reads its tokenizer too",
        )
    explain_parser.add_argument("--platform", choices=("cpu", "cuda"), help="where the engine runs")
    explain_parser.add_argument("--plan", choices=CHOICES, default="auto", help="default: auto")
    for parser in (list_parser, show_parser, explain_parser):
        parser.add_argument("--json", action="store_true", help="as JSON")
        parser.add_argument(
            "--lang", choices=("en", "zh"), default=language, help="language of the summaries"
        )


def list_presets(arguments: Namespace) -> str:
    """Every preset: name, aliases, parameters, summary."""
    catalogue = _catalogue(arguments)
    groups = in_groups(catalogue.values())
    presets = [preset for _, each in groups for preset in each]
    if arguments.json:
        listed = [
            {**_facts(preset), "group": group.name} for group, each in groups for preset in each
        ]
        if not arguments.model:
            return as_json(listed)
        return as_json({"model": _family(catalogue), "presets": listed})
    rows = [
        row
        for group, each in groups
        for row in (
            ("", "", "", ""),
            (group.title[arguments.lang].upper(), "", "", ""),
            *(
                (
                    preset.name,
                    ", ".join(preset.aliases),
                    _parameters(preset),
                    _summary(preset, arguments.lang),
                )
                for preset in each
            ),
        )
    ]
    presets_table = table(rows, ("NAME", "ALIASES", "PARAMETERS", "SUMMARY"))
    if not arguments.model:
        return presets_table
    reasons = [(preset.name, reason) for preset in presets for reason in preset.reasons]
    parts = [_about_family(catalogue), presets_table]
    if reasons:
        parts.append(table(reasons, ("PRESET", "WHY")))
    return "\n\n".join(parts)


def show(arguments: Namespace) -> str:
    """Everything about one preset."""
    preset = _catalogue(arguments).resolve(arguments.name)
    if arguments.json:
        return as_json(_facts(preset))
    rows = [
        ("name", preset.name),
        ("summary", _summary(preset, arguments.lang)),
        ("aliases", ", ".join(preset.aliases)),
        ("values", _stated(preset, "")),
        *((f"mode {mode.name}", _stated(preset, mode.name)) for mode in preset.modes),
        *(("switch", f"{sources}: {rule}") for sources, rule in switches(preset)),
        ("order", ", ".join(preset.order) or "default"),
        ("generation", _equations(preset.generation)),
        ("chain", _equations(preset.chain.values) or "empty: the model's own distribution"),
        *_model_rows(preset),
        ("source", preset.source),
        ("digest", preset.digest),
        ("file", preset.origin),
    ]
    return table((name, value or "-") for name, value in rows)


def check(arguments: Namespace) -> str:
    """Returns the number of presets. Raises `PresetError` with every problem of them."""
    catalogue = Catalogue.load([*arguments.presets, *arguments.paths])
    count = f"{len(catalogue)} preset{'' if len(catalogue) == 1 else 's'}"
    if not arguments.model:
        return f"{count}, no problems"
    _check_triggers(catalogue, Path(arguments.model))
    catalogue = catalogue.for_model(arguments.model)
    warnings = [(p.name, text) for p in catalogue.values() for text in truncation.warnings(p)]
    head = f"{_about_family(catalogue)}\n\n{count}, no problems, "
    tail = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
    return head + tail + (f"\n\n{table(warnings, ('PRESET', 'WARNING'))}" if warnings else "")


def _check_triggers(catalogue: Catalogue, folder: Path) -> None:
    """Raises `PresetError` for triggers that no token of the model's tokenizer can match.

    A model's folder without a tokenizer is not checked.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return
    from temperament.engines.transformers.traced_generation import tokenizer_at
    from temperament.plan.automata.modes import unmatched
    from temperament.plan.vocabulary import TokenBytes

    tokens = TokenBytes.of(tokenizer_at(str(folder)))
    problems = [
        problem
        for preset in catalogue.values()
        for problem in unmatched(preset, tokens, preset.origin)
    ]
    if problems:
        raise PresetError(problems)


def explain(arguments: Namespace) -> str:
    """The modes and their switches, the stages of each chain, then the engine's fields."""
    catalogue = _catalogue(arguments)
    preset = catalogue.resolve(arguments.name)
    if arguments.request is not None:
        return picking_report(preset, catalogue, arguments.request, as_data=arguments.json)
    plan = split_preset(preset, TARGETS[arguments.engine], arguments.plan, arguments.platform)
    generation = _generation(preset, arguments)
    if arguments.json:
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
        return as_json({**about, "generation": generation, "fields": plan.native})
    on = ", ".join(filter(None, (arguments.engine, arguments.platform, f"plan {arguments.plan}")))
    title = "\n".join(filter(None, (f"{preset.label} on {on}", _summary(preset, arguments.lang))))
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
            _equations(dict(decision.step.values)),
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


def _catalogue(arguments: Namespace) -> Catalogue:
    """The presets, bound to the model that `--model` names."""
    catalogue = Catalogue.load(arguments.presets)
    return catalogue.for_model(arguments.model) if arguments.model else catalogue


def _about_family(catalogue: Catalogue) -> str:
    """The model's family, and the values that its vendor recommends."""
    family = catalogue.family
    if family is None:
        return "No family in configs/models matches the model: it has no recommended values."
    rows = [
        (
            kind + (" (recommended)" if kind == family.recommended else ""),
            _equations(values.values),
            f"{values.source}, read {family.read[kind]}",
            "" if family.verified[kind] else "not verified",
        )
        for kind, values in family.values.items()
    ]
    return f"{family.title}\n\n{table(rows, ('KIND', 'VALUES', 'SOURCE', ''))}"


def _family(catalogue: Catalogue) -> dict[str, Any] | None:
    family = catalogue.family
    if family is None:
        return None
    values = {
        kind: {
            "values": plain_values(recommended.values),
            "source": recommended.source,
            "read": family.read[kind],
            "verified": family.verified[kind],
        }
        for kind, recommended in family.values.items()
    }
    return {"title": family.title, "recommended": family.recommended, "values": values}


def _model_rows(preset: Preset) -> list[tuple[str, str]]:
    """Rows on the values that a preset takes from the model."""
    rows = [("alone", "no other layer counts" if preset.alone else "")]
    rows += [("pick", f"{rule} -> {rule.preset}") for rule in preset.pick]
    rows += [("relative", _relative(preset)), ("scale", preset.temperature_scale)]
    rows += [("because", reason) for reason in preset.reasons]
    return [row for row in rows if row[1]]


def _relative(preset: Preset) -> str:
    parts = [preset.from_model] if preset.from_model else []
    parts += [
        f"{name} {factor:g} times the recommended" for name, factor in preset.relative.items()
    ]
    return ", ".join(parts)


def schema(arguments: Namespace) -> str:
    """The JSON Schema of a preset file."""
    return as_json(json_schema())


def _facts(preset: Preset) -> dict[str, Any]:
    steps = preset.chain.steps
    chain = [{"stage": step.stage, "values": plain_values(dict(step.values))} for step in steps]
    return {
        "name": preset.name,
        "aliases": preset.aliases,
        "summary": dict(preset.summary),
        "values": plain_values(preset.values),
        "order": preset.order,
        **(_modes(preset) if preset.modes else {}),
        "generation": dict(preset.generation),
        "chain": chain,
        "source": preset.source,
        "digest": preset.digest,
        "origin": preset.origin,
        "alone": preset.alone,
        "pick": [rule.plain() for rule in preset.pick],
        "relative": dict(preset.relative),
        "from_model": preset.from_model,
        "temperature_scale": preset.temperature_scale,
        "drawn": plain_values(preset.drawn.values),
        "notes": preset.reasons,
    }


def _modes(preset: Preset) -> dict[str, Any]:
    modes = {
        mode.name: {**plain_values(mode.values), "order": mode.order, "drawn": drawn.values}
        for mode, drawn in zip(preset.modes, preset.drawn.modes, strict=True)
    }
    return {
        "modes": modes,
        "start": preset.start,
        "switch": [rule.plain() for rule in preset.switch],
    }


def _summary(preset: Preset, language: str) -> str:
    return preset.summary.get(language) or next(filter(None, preset.summary.values()), "")


def _parameters(preset: Preset) -> str:
    """What a preset sets, in at most 80 columns."""
    order = {"order": preset.order} if preset.order else {}
    factors = {name: f"{factor:g}x recommended" for name, factor in preset.relative.items()}
    if preset.from_model:
        factors = {"from_model": preset.from_model, **factors}
    values = _equations({**factors, **preset.generation, **order})
    text = ", ".join(filter(None, (_stated(preset, ""), values)))
    modes = (f"{mode.name}({_stated(preset, mode.name)})" for mode in preset.modes)
    text = " ".join(filter(None, (text, *modes)))
    return text if len(text) <= 80 else f"{text[:79]}…"


def _stated(preset: Preset, mode: str) -> str:
    """The values of a preset, or of one of its modes, as text.

    A temperature on a scale is followed by the one that is drawn: "temperature=1.3 (drawn at 0.6)".
    """
    on_weights = preset.drawn
    layers, drawn = {"": preset.values}, {"": on_weights.values}
    layers |= {each.name: each.values for each in preset.modes}
    drawn |= {each.name: each.values for each in on_weights.modes}
    stated, values = plain_values(layers[mode]), plain_values(drawn[mode])
    return ", ".join(
        f"{name}={stated[name]} (drawn at {value})"
        if name in stated and stated[name] != value
        else f"{name}={value}"
        for name, value in values.items()
    )


def _equations(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in plain_values(values).items())
