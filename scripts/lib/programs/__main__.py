"""Exported presets in the programs that they are for: the same distribution as `process`?

Each stage is exported, the program's own samplers draw one step with it, and the largest difference
in a token's probability is written to docs/programs.json, by program and stage. llama.cpp's server
runs SmolLM2 (`xllamacpp`), with exported requests, with options as llama.cpp's own parser reads
them, and with the requests that SillyTavern makes of presets. LiteLLM's proxy passes the exported
fields on. vLLM's engine runs SmolLM2 too, without Temperament. The processors of Transformers,
SGLang and mlx-lm get drawn logits. A penalty reads the same tokens on both sides, those of the
prompt too.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path

from scripts.lib.command import ROOT, parser
from scripts.lib.programs import engine, hub, litellm, llamacpp, mlx_lm, sglang, sillytavern
from scripts.lib.programs.stages import Program

OUT = ROOT / "docs" / "programs.json"


def main() -> None:
    """Measures the programs."""
    arguments = parser("programs", __doc__)
    arguments.add_argument("--mlx", required=True, help="an interpreter with mlx-lm and mlx[cpu]")
    arguments.add_argument("--litellm", required=True, help="an interpreter with LiteLLM's proxy")
    arguments.add_argument("--llama", required=True, type=Path, help="the program llama-server")
    arguments.add_argument("--sillytavern", required=True, type=Path, help="the unpacked package")
    arguments.add_argument("--sglang", required=True, type=Path, help="the package's folder")
    arguments.add_argument("--only", nargs="*", default=[], help="these columns, the rest stays")
    given = arguments.parse_args()
    server = functools.cache(llamacpp.LlamaCpp)
    columns: dict[str, Callable[[], Program]] = {
        "llama.cpp": lambda: llamacpp.server(server()),
        "its options": lambda: llamacpp.command_line(server(), given.llama),
        "its INI": lambda: llamacpp.ini(server(), given.llama),
        "SillyTavern": lambda: sillytavern.sillytavern(server(), given.sillytavern),
        "LiteLLM": lambda: litellm.litellm(given.litellm),
        "vLLM": engine.vllm,
        "Transformers": hub.transformers,
        "SGLang": lambda: sglang.sglang(given.sglang),
        "mlx-lm": lambda: mlx_lm.mlx_lm(given.mlx),
    }
    unknown = [name for name in given.only if name not in columns]
    if unknown:
        arguments.error(f"--only {', '.join(unknown)}: allowed: {', '.join(columns)}")
    for name in given.only or columns:
        program = columns[name]()
        measured = {**json.loads(OUT.read_text(encoding="utf-8")), name: program._asdict()}
        kept = {name: measured[name] for name in columns if name in measured}
        OUT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        worst = max(
            (each for each in program.differences.values() if isinstance(each, float)),
            default=math.nan,
        )
        print(f"{name} {program.version}: at most {worst:.2g}", flush=True)
        print(*program.differences.items(), sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
