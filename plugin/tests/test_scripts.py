"""Each command of scripts/ can be run, and its help says what it takes and what it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
COMMANDS = sorted(path.name for path in SCRIPTS.iterdir() if path.is_file())


def test_every_command_is_executable() -> None:
    """Every file of scripts/ is a command without a suffix that can be run."""
    assert {"benchmark", "demo", "fuzz", "kernels", "setup", "soak", "structure", "test"} <= set(
        COMMANDS
    )
    assert [] == [name for name in COMMANDS if not os.access(SCRIPTS / name, os.X_OK)]
    assert [] == [name for name in COMMANDS if Path(name).suffix]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_what_a_command_takes_and_writes(name: str, tmp_path: Path) -> None:
    """`--help` runs nothing, from any folder, and has the lines "Takes" and "Writes"."""
    done = subprocess.run(
        [str(SCRIPTS / name), "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable},
        timeout=300,
    )

    assert 0 == done.returncode, done.stderr
    assert "\nTakes" in done.stdout
    assert "\nWrites: " in done.stdout
