"""`list`, `show`, `check`, `explain` and `schema`: what presets set and where their stages run."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from temperament.cli.mode_drawing import switches
from temperament.cli.output import AddCommand, as_json, table
from temperament.cli.picking_report import picking_report
from temperament.cli.plan_report import plan_report
from temperament.cli.preset_text import (
    equations,
    facts,
    parameters,
    relative_values,
    stated_values,
    summary,
)
from temperament.errors import PresetError
from temperament.plan import TARGETS
from temperament.plan.split import CHOICES
from temperament.presets import Catalogue, Preset, truncation
from temperament.presets.groups import in_groups
from temperament.presets.json_schema import json_schema
from temperament.presets.plain import plain_values


def add(command: AddCommand, language: str) -> None:
    """Adds the commands to the command line; `language` is the default of `--lang`."""
    list_parser = command("list", list_presets, "every preset: aliases, parameters, summary")
    show_parser = command("show", show, "everything about one preset")
    check_parser = command("check", check, "reports every problem of preset files")
    explain_parser = command(
        "explain", explain, "which stages the engine runs, which Temperament runs, and why"
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
            {**facts(preset), "group": group.name} for group, each in groups for preset in each
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
                    parameters(preset),
                    summary(preset, arguments.lang),
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
        return as_json(facts(preset))
    rows = [
        ("name", preset.name),
        ("summary", summary(preset, arguments.lang)),
        ("aliases", ", ".join(preset.aliases)),
        ("values", stated_values(preset, "")),
        *((f"mode {mode.name}", stated_values(preset, mode.name)) for mode in preset.modes),
        *(("switch", f"{sources}: {rule}") for sources, rule in switches(preset)),
        ("order", ", ".join(preset.order) or "default"),
        ("generation", equations(preset.generation)),
        ("chain", equations(preset.chain.values) or "empty: the model's own distribution"),
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
    from temperament.plan.automata.mode_automaton import unmatched
    from temperament.plan.vocabulary import TokenBytes

    tokens = TokenBytes.of(tokenizer_at(str(folder)))
    problems = [
        problem
        for preset in catalogue.values()
        for problem in unmatched(preset, tokens, preset.origin)
    ]
    if problems:
        raise PresetError(problems)


def _about_family(catalogue: Catalogue) -> str:
    """The model's family, and the values that its vendor recommends."""
    family = catalogue.family
    if family is None:
        return "No family in configs/models matches the model: it has no recommended values."
    rows = [
        (
            kind + (" (recommended)" if kind == family.recommended else ""),
            equations(values.values),
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
    rows += [("relative", relative_values(preset)), ("scale", preset.temperature_scale)]
    rows += [("because", reason) for reason in preset.reasons]
    return [row for row in rows if row[1]]


def explain(arguments: Namespace) -> str:
    """Where an engine runs a preset, or which rule of a preset takes a request."""
    catalogue = _catalogue(arguments)
    preset = catalogue.resolve(arguments.name)
    if arguments.request is not None:
        return picking_report(preset, catalogue, arguments.request, as_data=arguments.json)
    return plan_report(preset, arguments)


def schema(arguments: Namespace) -> str:
    """The JSON Schema of a preset file."""
    return as_json(json_schema())


def _catalogue(arguments: Namespace) -> Catalogue:
    """The presets, bound to the model that `--model` names."""
    catalogue = Catalogue.load(arguments.presets)
    return catalogue.for_model(arguments.model) if arguments.model else catalogue
