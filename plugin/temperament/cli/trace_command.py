"""The command that draws a text and shows it by its modes."""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from temperament.cli.mode_drawing import coloured, legend
from temperament.cli.text_table import table
from temperament.presets import Catalogue


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the command."""
    made = command("trace", trace, "a text of a model, coloured by the mode it was drawn in")
    made.add_argument("name", metavar="PRESET", help="a preset with modes: its name or alias")
    made.add_argument("--model", required=True, metavar="DIR", help="weights and tokenizer")
    made.add_argument("--prompt", required=True, metavar="TEXT")
    made.add_argument("--raw", action="store_true", help="the prompt as it is, no chat template")
    made.add_argument("--max-tokens", type=int, default=200, metavar="N", help="200 if not given")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="0 if not given")
    made.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    made.add_argument("--json", action="store_true", help="the spans and switches as JSON")


def trace(words: Namespace) -> str:
    """The text by its modes, then where it switched and on what."""
    preset = Catalogue.load(words.presets).resolve(words.name)
    from temperament.engines import tracing

    traced = tracing.trace(
        preset,
        words.model,
        words.prompt,
        max_tokens=words.max_tokens,
        seed=words.seed,
        raw=words.raw,
    )
    if words.json:
        content: dict[str, Any] = {"preset": preset.label, **asdict(traced)}
        return json.dumps(content, ensure_ascii=False, indent=2)
    colour = words.color == "always" or (words.color == "auto" and sys.stdout.isatty())
    rows = [(str(s.token), f"{s.source} → {s.target}", s.on or "-") for s in traced.switches]
    parts = [f"{preset.label}: {legend(preset.modes, colour)}"]
    parts.append(coloured(traced, preset.modes, colour))
    parts.append(table(rows, ("TOKEN", "SWITCH", "ON")) if rows else "No switch.")
    return "\n\n".join(parts)
