"""What each command answers, as text."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temperament.cli.mode_drawing import draw, switches
from temperament.cli.text_table import table
from temperament.errors import PresetError
from temperament.plan import TARGETS, Decision, Plan, split_preset
from temperament.plan.parameters import BY_FIELD, Engine, native
from temperament.presets import Catalogue, Preset, models
from temperament.presets import schema as preset_schema
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME, PARAMETERS


def list_presets(words: Namespace) -> str:
    """Every preset: name, aliases, parameters, summary."""
    catalogue = _catalogue(words)
    presets = catalogue.values()
    if words.json:
        listed = [_facts(preset) for preset in presets]
        if not words.model:
            return _json(listed)
        return _json({"model": _family(catalogue), "presets": listed})
    rows = [
        (preset.name, ", ".join(preset.aliases), _said(preset), _summary(preset, words.lang))
        for preset in presets
    ]
    shown = table(rows, ("NAME", "ALIASES", "PARAMETERS", "SUMMARY"))
    if not words.model:
        return shown
    why = [(preset.name, note) for preset in presets for note in _why(preset)]
    parts = [_about_family(catalogue), shown]
    if why:
        parts.append(table(why, ("PRESET", "WHY")))
    return "\n\n".join(parts)


def show(words: Namespace) -> str:
    """All about one preset."""
    preset = _catalogue(words).resolve(words.name)
    if words.json:
        return _json(_facts(preset))
    rows = [
        ("name", preset.name),
        ("summary", _summary(preset, words.lang)),
        ("aliases", ", ".join(preset.aliases)),
        ("values", _equations(preset.values)),
        *((f"mode {mode.name}", _equations(mode.values)) for mode in preset.modes),
        *(("switch", f"{one}: {on}") for one, on in switches(preset)),
        ("order", ", ".join(preset.order) or "default"),
        ("generation", _equations(preset.generation)),
        ("chain", _equations(preset.chain.values) or "empty: the model's own distribution"),
        *_of_the_model(preset),
        ("source", preset.source),
        ("digest", preset.digest),
        ("file", preset.origin),
    ]
    return table((name, value or "-") for name, value in rows)


def check(words: Namespace) -> str:
    """How many presets there are; every problem is in the error."""
    catalogue = Catalogue.load([*words.presets, *words.paths])
    count = f"{len(catalogue)} preset{'' if len(catalogue) == 1 else 's'}"
    if not words.model:
        return f"{count}, no problems"
    _check_triggers(catalogue, Path(words.model))
    catalogue = catalogue.for_model(words.model)
    told = [(p.name, text) for p in catalogue.values() for text in models.warnings(p)]
    head = f"{_about_family(catalogue)}\n\n{count}, no problems, "
    warned = f"{len(told)} warning{'' if len(told) == 1 else 's'}"
    return head + warned + (f"\n\n{table(told, ('PRESET', 'WARNING'))}" if told else "")


def _check_triggers(catalogue: Catalogue, folder: Path) -> None:
    """What must match in a tokenizer, where the model's folder has one."""
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return
    from temperament.engines.tracing import tokenizer_at
    from temperament.plan.machine import unmatched
    from temperament.plan.vocabulary import TokenBytes

    tokens = TokenBytes.of(tokenizer_at(str(folder)))
    problems = [p for one in catalogue.values() for p in unmatched(one, tokens, one.origin)]
    if problems:
        raise PresetError(problems)


def explain(words: Namespace) -> str:
    """The modes and their switches, each stage of each chain, then the engine's own fields."""
    preset = _catalogue(words).resolve(words.name)
    plan = split_preset(preset, TARGETS[words.engine], words.plan, words.platform)
    if words.json:
        about = {"preset": preset.label, "engine": words.engine}
        about |= {"platform": words.platform, "plan": words.plan}
        stages = {mode: [_stage(d) for d in own.decisions] for mode, own in plan.plans.items()}
        if preset.modes:
            about["modes"] = stages
            about |= {"start": preset.start, "switch": [rule.words for rule in preset.switch]}
        else:
            about["stages"] = stages[""]
        about["generation"] = _generation(preset, words)
        return _json({**about, "fields": plan.native})
    head = ", ".join(filter(None, (words.engine, words.platform, f"plan {words.plan}")))
    parts = [f"{preset.label} on {head}", _summary(preset, words.lang)]
    drawn = [draw(preset)] if preset.modes else []
    chains = [_chain(mode, own) for mode, own in plan.plans.items()]
    fields = [(name, f"{value}") for name, value in plan.native.items()]
    own = f"Fields of {words.engine}:\n{table(fields)}"
    more = [tuple(map(str, row.values())) for row in _generation(preset, words)]
    beside = [table(more, ("PARAMETER", "VALUE", "ON", "HOW", "WHERE", "REASON"))] if more else []
    return "\n\n".join(("\n".join(filter(None, parts)), *drawn, *chains, own, *beside))


def _stage(decision: Decision) -> dict[str, Any]:
    return {
        "stage": decision.step.stage,
        "values": _plain(dict(decision.step.values)),
        "side": decision.side,
        "reason": decision.reason,
        "source": BY_NAME[decision.step.stage].source,
    }


def _chain(mode: str, plan: Plan) -> str:
    """One mode's stages, under its name."""
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


def _generation(preset: Preset, words: Namespace) -> list[dict[str, Any]]:
    """What the engine does with each field of a preset beside its stages; vLLM's server too."""
    both = words.engine == "vllm"
    engines: tuple[Engine, ...] = ("vllm", "server") if both else ("transformers",)
    rows = []
    for name, value in preset.generation.items():
        for each in engines:
            route = BY_FIELD[name].route(each) if name in BY_FIELD else native(name)
            row = {"parameter": name, "value": _lists(value), "on": each}
            row |= {
                "how": route.how,
                "where": route.where,
                "reason": route.reason[words.lang == "zh"],
            }
            rows.append(row)
    return rows


def _catalogue(words: Namespace) -> Catalogue:
    """The presets, settled for the model that was named, if one was."""
    catalogue = Catalogue.load(words.presets)
    return catalogue.for_model(words.model) if words.model else catalogue


def _about_family(catalogue: Catalogue) -> str:
    """Which family a model is of, and what its vendor recommends."""
    family = catalogue.family
    if family is None:
        return "The model is of no family in configs/models: nothing is recommended for it."
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
            "values": _plain(made.values),
            "source": made.source,
            "read": family.read[kind],
            "verified": family.verified[kind],
        }
        for kind, made in family.values.items()
    }
    return {"title": family.title, "recommended": family.recommended, "values": values}


def _why(preset: Preset) -> list[str]:
    """What was settled for the model, and why it couldn't be."""
    return [*preset.notes, *([preset.unsettled] if preset.unsettled else [])]


def _of_the_model(preset: Preset) -> list[tuple[str, str]]:
    """Rows of what a preset leaves to the model, or was given by it."""
    rows = [("relative", _relative(preset)), ("scale", preset.temperature_scale)]
    rows += [("because", why) for why in _why(preset)]
    return [row for row in rows if row[1]]


def _relative(preset: Preset) -> str:
    words = [preset.from_model] if preset.from_model else []
    words += [
        f"{name} {factor:g} times the recommended" for name, factor in preset.relative.items()
    ]
    return ", ".join(words)


def schema(words: Namespace) -> str:
    """The JSON Schema of a preset file."""
    return _json(preset_schema.json_schema())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as a preset file would have them."""
    maps = {name for name, parameter in PARAMETERS.items() if parameter.kind == "token_bias"}
    return {
        name: dict(value) if name in maps and value else _lists(value)
        for name, value in values.items()
    }


def _lists(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.words
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _facts(preset: Preset) -> dict[str, Any]:
    steps = preset.chain.steps
    chain = [{"stage": step.stage, "values": _plain(dict(step.values))} for step in steps]
    return {
        "name": preset.name,
        "aliases": preset.aliases,
        "summary": dict(preset.summary),
        "values": _plain(preset.values),
        "order": preset.order,
        **(_modes(preset) if preset.modes else {}),
        "generation": dict(preset.generation),
        "chain": chain,
        "source": preset.source,
        "digest": preset.digest,
        "origin": preset.origin,
        "relative": dict(preset.relative),
        "from_model": preset.from_model,
        "temperature_scale": preset.temperature_scale,
        "notes": _why(preset),
    }


def _modes(preset: Preset) -> dict[str, Any]:
    modes = {mode.name: {**_plain(mode.values), "order": mode.order} for mode in preset.modes}
    return {"modes": modes, "start": preset.start, "switch": [r.words for r in preset.switch]}


def _summary(preset: Preset, language: str) -> str:
    return preset.summary.get(language) or next(filter(None, preset.summary.values()), "")


def _said(preset: Preset) -> str:
    order = {"order": preset.order} if preset.order else {}
    factors = {name: f"{factor:g}x recommended" for name, factor in preset.relative.items()}
    if preset.from_model:
        factors = {"from_model": preset.from_model, **factors}
    text = _equations({**factors, **preset.values, **preset.generation, **order})
    modes = (f"{mode.name}({_equations(mode.values)})" for mode in preset.modes)
    text = " ".join(filter(None, (text, *modes)))
    return text if len(text) <= 80 else f"{text[:79]}…"


def _equations(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in _plain(values).items())
