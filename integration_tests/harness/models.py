"""Where the test models are."""

import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def model_path(name: str) -> Path:
    """The folder of the model that `scripts/fetch_model` knows by this name; created if need be."""
    command = [sys.executable, "-m", "scripts.lib.fetch_model", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return Path(done.stdout.strip())
