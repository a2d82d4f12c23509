"""`trace`: generates a text with local weights and shows which mode each part was drawn in."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict

from temperament.cli.mode_drawing import coloured, legend
from temperament.cli.output import AddCommand, as_json, table
from temperament.presets import Catalogue


def add(command: AddCommand) -> None:
    """Adds the command to the command line."""
    parser = command("trace", trace, "generates a text and colours it by mode")
    parser.add_argument("name", metavar="PRESET", help="a preset with modes: its name or alias")
    parser.add_argument("--model", required=True, metavar="DIR", help="weights and tokenizer")
    parser.add_argument("--prompt", required=True, metavar="TEXT")
    parser.add_argument("--raw", action="store_true", help="does not apply the chat template")
    parser.add_argument("--max-tokens", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("--json", action="store_true", help="the spans and switches as JSON")


def trace(arguments: Namespace) -> str:
    """The text by its modes, then each switch with its token and trigger."""
    preset = Catalogue.load(arguments.presets).resolve(arguments.name)
    from temperament.engines.transformers import traced_generation

    traced = traced_generation.trace(
        preset,
        arguments.model,
        arguments.prompt,
        max_tokens=arguments.max_tokens,
        seed=arguments.seed,
        raw=arguments.raw,
    )
    if arguments.json:
        return as_json({"preset": preset.label, **asdict(traced)})
    colour = arguments.color == "always" or (arguments.color == "auto" and sys.stdout.isatty())
    rows = [(str(s.token), f"{s.source} → {s.target}", s.on or "-") for s in traced.switches]
    parts = [f"{preset.label}: {legend(preset.modes, colour)}"]
    parts.append(coloured(traced, preset.modes, colour))
    parts.append(table(rows, ("TOKEN", "SWITCH", "ON")) if rows else "No switch.")
    return "\n\n".join(parts)
