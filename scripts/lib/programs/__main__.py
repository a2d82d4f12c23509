"""Exported presets in the programs that they are for: the same distribution as `process`?

Each stage is exported, the program's own samplers draw one step with it, and the largest difference
in a token's probability is written to docs/programs.json, by program and stage. llama.cpp's server
runs SmolLM2 (`xllamacpp`), with exported requests, with options as llama.cpp's own parser reads
them, and with the requests that SillyTavern makes of presets. Transformers' and mlx-lm's processors
get drawn logits. A penalty reads the same tokens on both sides, those of the prompt too.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from scripts.lib.command import ROOT, parser
from scripts.lib.programs import hub, llamacpp, mlx_lm, sillytavern

OUT = ROOT / "docs" / "programs.json"


def main() -> None:
    """Measures the programs."""
    arguments = parser("programs", __doc__)
    arguments.add_argument("--mlx", required=True, help="an interpreter with mlx-lm and mlx[cpu]")
    arguments.add_argument("--llama", required=True, type=Path, help="the program llama-server")
    arguments.add_argument("--sillytavern", required=True, type=Path, help="the unpacked package")
    given = arguments.parse_args()
    server = llamacpp.LlamaCpp()
    found = {
        "llama.cpp": llamacpp.server(server),
        "its options": llamacpp.command_line(server, given.llama),
        "its INI": llamacpp.ini(server, given.llama),
        "SillyTavern": sillytavern.sillytavern(server, given.sillytavern),
        "Transformers": hub.transformers(),
        "mlx-lm": mlx_lm.mlx_lm(given.mlx),
    }
    numbers = {name: program._asdict() for name, program in found.items()}
    OUT.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, (told, results) in found.items():
        worst = max(
            (each for each in results.values() if isinstance(each, float)), default=math.nan
        )
        print(f"{name} {told}: at most {worst:.2g}", *results.items(), sep="\n  ")


if __name__ == "__main__":
    main()
