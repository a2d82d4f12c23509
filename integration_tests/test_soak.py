"""A short form of `scripts/soak`; the long one's numbers are in docs/reliability.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from integration_tests.harness import captured, forks
from integration_tests.harness.environments import ON_SHARED_CORES
from integration_tests.harness.models import ROOT

SHORT = "--model tiny --requests 64 --presets 40 --repeats 6 --captured 0 --seed 2"


def test_soak(tmp_path: Path) -> None:
    """A real server answers many random presets at once, and none disturbs another."""
    file = tmp_path / "soak.json"
    command = [str(ROOT / "scripts" / "soak"), *SHORT.split(), "--json", str(file)]
    env = os.environ | ON_SHARED_CORES | {"PYTHON": forks.python("v1")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-4000:]

    report = json.loads(file.read_text())
    assert 64 == report["requests"]
    assert report["statuses"]["200"] >= 44
    assert set(report["statuses"]) <= {"200", "400", "client went away"}
    assert report["prefix_hits"] > 0
    assert {"grammar", "several samples", "streaming", "shared prefix"} <= report["kinds"].keys()
    assert sum(report["repeated"].values()) > 0


def test_rows_on_v1(tiny_path: Path) -> None:
    """On V1 each captured row is bit for bit what it is alone."""
    report = captured.run("v1", tiny_path, 45, 2)

    assert [] == report.differing
    assert report.preemptions > 0
    assert report.rows > 400
    assert report.changed > report.rows // 2


def test_rows_on_v2(tiny_path: Path) -> None:
    """On V2 too, each captured row is bit for bit what it is alone."""
    report = captured.run("v2", tiny_path, 10, 2)

    assert [] == report.differing
    assert report.rows > 60
