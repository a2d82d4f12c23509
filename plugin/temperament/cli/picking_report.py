"""`explain NAME --request FILE`: which rule of a preset takes a request, and why."""

from __future__ import annotations

import json
from pathlib import Path

from temperament.cli.output import as_json, table
from temperament.errors import PresetError, Problem
from temperament.presets import Catalogue, Preset
from temperament.presets.picking import verdicts
from temperament.server.request_facts import facts_of


def picking_report(preset: Preset, catalogue: Catalogue, path: str, *, as_data: bool) -> str:
    """Returns the verdict on each rule for the body of a request in a JSON file, and the pick.

    A server may also bar a preset by its settings (`allow`, `locked`), which aren't known here.
    Raises `PresetError` for a file without a JSON object, and for a preset without rules.
    """
    if not preset.pick:
        message = "picks nothing: it has no rules"
        raise PresetError(Problem(preset.origin, preset.name, message, allowed="a preset: auto"))
    facts = facts_of(_body(path))
    found = verdicts(preset, facts, lambda name: catalogue.resolve(name).unbound)
    picked = next((one.rule.preset for one in found if one.outcome == "taken"), None)
    label = f"{preset.name}>{catalogue.resolve(picked).label}" if picked else preset.label
    if as_data:
        rules = [
            {**one.rule.plain(), "outcome": one.outcome, "why": one.why or None} for one in found
        ]
        return as_json({"preset": preset.label, "picked": picked, "label": label, "rules": rules})
    rows = [
        (str(number), str(one.rule), one.rule.preset, one.outcome, one.why)
        for number, one in enumerate(found, 1)
    ]
    end = f"{label}" if picked else f"{label}: no rule takes it, the server's default stays"
    return f"{end}\n\n{table(rows, ('RULE', 'WHEN', 'PRESET', 'OUTCOME', 'WHY'))}"


def _body(path: str) -> dict[str, object]:
    try:
        body = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
        raise PresetError(Problem(path, "", reason)) from None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise PresetError(Problem(path, "", "not a request", allowed="a JSON object: its body"))
    return body
