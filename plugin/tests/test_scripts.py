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


def test_uv_gets_the_settings_of_pip(tmp_path: Path) -> None:
    """uv's variables hold what pip's file and variables say, the variables above the file."""
    (tmp_path / "pip.conf").write_text("""\
[global]
find-links = /others
index-url = http://localhost/simple
[install]
extra-index-url = file:///first
  file:///second
trusted-host = one
""")
    variables = {
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_FIND_LINKS": "/one /two",
        "PIP_TRUSTED_HOST": "two",
        "UV_INSECURE_HOST": "three",
    }
    script = f'eval "$({sys.executable} {SCRIPTS}/lib/uv_settings.py)"; env'
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], **variables},
    )

    expected = {
        "UV_DEFAULT_INDEX=http://localhost/simple",
        "UV_FIND_LINKS=/one,/two",
        "UV_INDEX=file:///first file:///second",
        "UV_INDEX_STRATEGY=unsafe-best-match",
        "UV_INSECURE_HOST=three",
    }
    assert set() == expected - set(done.stdout.splitlines())
