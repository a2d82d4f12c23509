"""SillyTavern's own request for a preset, in llama.cpp's server.

The package's code runs in Node; see `sillytavern.mjs`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from scripts.lib.programs.llamacpp import LlamaCpp
from scripts.lib.programs.stages import Program

# llama.cpp turns the penalties off where the window is 0, SillyTavern's for all tokens.
RANGES = {"repetition_range": 64}
# which SillyTavern has for other servers
LACKS = ("epsilon_cutoff", "eta_cutoff", "no_repeat_ngram_size")
HERE = Path(__file__).with_suffix(".mjs")


def sillytavern(llama: LlamaCpp, package: Path) -> Program:
    """Exported presets, as the requests that SillyTavern sends to llama.cpp."""
    with subprocess.Popen(
        ["node", str(HERE), str(package), "llamacpp"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        to_child, from_child = child.stdin, child.stdout
        assert to_child is not None and from_child is not None

        def fields(text: str) -> dict[str, Any]:
            print(json.dumps(json.loads(text)), file=to_child, flush=True)
            body: dict[str, Any] = json.loads(from_child.readline())
            return body

        results = llama.measured("sillytavern", fields, ranges=RANGES, lacks=LACKS)
        to_child.close()
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    return Program(version, results)
