"""SillyTavern's own request for a preset, in llama.cpp's server.

The package's code runs in Node; see `sillytavern.mjs`.
"""

from __future__ import annotations

import json
from pathlib import Path

from scripts.lib.programs.child import answering
from scripts.lib.programs.llamacpp import LlamaCpp
from scripts.lib.programs.stages import Program

# which SillyTavern has for other servers
LACKS = ("epsilon_cutoff", "eta_cutoff", "no_repeat_ngram_size")
HERE = Path(__file__).with_suffix(".mjs")


def sillytavern(llama: LlamaCpp, package: Path) -> Program:
    """Exported presets, as the requests that SillyTavern sends to llama.cpp."""
    with answering(["node", str(HERE), str(package), "llamacpp"]) as ask:
        results = llama.measured("sillytavern", lambda text: ask(json.loads(text)), lacks=LACKS)
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    return Program(version, results)
