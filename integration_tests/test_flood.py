"""A short form of `scripts/flood`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from integration_tests.harness import forks
from integration_tests.harness.models import ROOT

pytest.importorskip("transformers.generation.continuous_batching.cb_logits_processors")

SHORT = "--requests 80 --presets 50 --repeats 4 --seed 2"


def test_flood(tmp_path: Path) -> None:
    """One manager outlives many random presets, bad ones, cancelled requests and a small cache."""
    file = tmp_path / "flood.json"
    command = [str(ROOT / "scripts" / "flood"), *SHORT.split(), "--json", str(file)]
    env = os.environ | {"PYTHON": forks.python("v1")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-4000:]

    report = json.loads(file.read_text())
    assert 80 == report["requests"] == sum(report["ends"].values())
    assert {"cancelled", "can't run", "finished"} <= report["ends"].keys()
    assert 4 == sum(report["repeated"].values())
    assert 0 == report["left"]
