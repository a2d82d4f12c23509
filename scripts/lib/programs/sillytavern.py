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

HERE = Path(__file__).with_suffix(".mjs")


def sillytavern(llama: LlamaCpp, package: Path) -> Program:
    """Exported presets, as the requests that SillyTavern sends to llama.cpp."""

    def fields(text: str) -> dict[str, Any]:
        done = subprocess.run(
            ["node", str(HERE), str(package), "llamacpp"],
            input=json.dumps(json.loads(text)), text=True, capture_output=True, check=True,
        )  # fmt: skip
        body: dict[str, Any] = json.loads(done.stdout)
        return body

    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    return Program(version, llama.measured("sillytavern", fields))
