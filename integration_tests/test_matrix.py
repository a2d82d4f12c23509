"""scripts/matrix: what it plans, how it goes on, what it writes; and its checks, right here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts.lib import generate_docs
from scripts.lib import matrix as program

from integration_tests.harness.models import ROOT
from integration_tests.harness.server import ON_SHARED_CORES, environment

SCRIPT = ROOT / "scripts" / "matrix"


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, which writes its results to the test's folder."""
    monkeypatch.setattr(program, "RESULTS", tmp_path / "matrix.json")
    return program


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, which compare as versions do."""
    return tuple(map(int, version.split(".")))


def test_what_is_claimed_was_run(matrix: ModuleType) -> None:
    """The lower bounds in pyproject.toml are the oldest versions that passed the matrix."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = " ".join([f"python{project['requires-python']}", *extras["vllm"],
                      *extras["transformers"]])  # fmt: skip
    claimed = dict(re.findall(r"(\w+)>=([\d.]+)", asked))
    kept = json.loads((ROOT / "docs" / "matrix.json").read_text(encoding="utf-8"))
    good = [one for one in kept.values() if not one["fails"]]
    for name, least in claimed.items():
        oldest = min(numbers(one[name]) for one in good if one[name])

        assert numbers(least) == oldest[: len(numbers(least))], name
    too_old = [numbers(one["vllm"]) for one in kept.values() if one["fails"]]
    assert too_old
    assert all(one < numbers(claimed["vllm"]) for one in too_old)
    assert kept.keys() <= {cell.name for cell in matrix.CELLS}
    assert "failed" not in json.dumps(kept)


def test_it_goes_on_where_it_ended(
    matrix: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cell that passed isn't run again; one that failed or lacks a check is, alone.

    With `--again` those that `--only` names are run again, and the others keep their results.
    """
    installed: list[str] = []
    ran: list[list[str]] = []

    def install(cell: Any, folder: Path, log: Path) -> None:
        installed.append(cell.name)
        if len(installed) == 2:
            raise RuntimeError("no such wheel")

    def run(command: list[str], env: dict[str, str], log: Path) -> tuple[bool, str]:
        ran.append(command)
        return "import" not in command[-1], "===== 12 passed, 2 warnings in 3.4s ====="

    monkeypatch.setattr(matrix, "install", install)
    monkeypatch.setattr(matrix, "run", run)
    monkeypatch.setattr(matrix.subprocess, "run", lambda *arguments, **options: None)
    arguments = ["matrix", "--cache", str(tmp_path), "--only"]
    monkeypatch.setattr(sys, "argv", [*arguments, "python3.11"])
    first = matrix.main()
    some = list(installed)
    before = json.loads(matrix.RESULTS.read_text(encoding="utf-8"))
    partly = {**before, some[0]: {**before[some[0]], "checks": {"unit": "ok: 12 passed"}}}
    matrix.RESULTS.write_text(json.dumps(partly), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [*arguments, ""])
    second = matrix.main()
    kept = json.loads(matrix.RESULTS.read_text(encoding="utf-8"))
    until_now = len(installed)
    monkeypatch.setattr(sys, "argv", [*arguments, "python3.12", "--again"])
    matrix.main()
    in_the_end = json.loads(matrix.RESULTS.read_text(encoding="utf-8"))

    names = [cell.name for cell in matrix.CELLS]
    assert (1, 0) == (first, second)
    assert [cell.name for cell in matrix.CELLS if cell.python == "3.11"] == some
    assert {"install": "failed: no such wheel"} == before[some[1]]["checks"]
    assert [name for name in names if name not in some[2:]] == installed[len(some) : until_now]
    assert [name for name in names if "python3.12" in name] == installed[until_now:]
    assert kept == in_the_end
    assert names == list(kept)
    assert {"unit": "ok: 12 passed", "generate": "ok", "serve": "ok"} == kept[some[0]]["checks"]
    [too_old] = [one for one in kept.values() if one["fails"]]
    assert too_old["checks"]["import"].startswith("refused: ")
    assert all(command[0].startswith(str(tmp_path)) for command in ran)


def test_a_plan_runs_nothing() -> None:
    """`--plan` names each cell with its checks."""
    done = subprocess.run(
        [str(SCRIPT), "--plan", "--again"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip

    assert "vllm0.32.0: unit, generate, serve" in done.stdout
    assert "vllm0.30.0: import" in done.stdout


def test_the_table_says_what_came_out() -> None:
    """The table shows a tick and a count, a cross and the reason, or why a version is too old."""
    versions = {"python": "3.12", "vllm": "0.32.0", "transformers": "5.19.0", "torch": "2.13.0"}
    checks = {"unit": "failed: 1 failed, 9 passed", "generate": "ok", "serve": "ok"}
    old = {"import": "refused: ModuleNotFoundError: no module"}
    with_triton = {"unit": "ok: 3 passed", "generate": "ok", "kernels": "ok: 4 passed", "gpu": "ok"}
    results = {
        "a": {**versions, "fails": False, "checks": {**checks, "unit": "ok: 10 passed"}},
        "b": {**versions, "fails": False, "checks": {**checks, "serve_v2": "failed: no text"}},
        "c": {**versions, "fails": True, "checks": old},
        "d": {**versions, "triton": "3.6.0", "fails": False, "checks": with_triton},
    }
    table = generate_docs.matrix(results, "en").splitlines()[2:]

    assert [
        " | ✓ 10 passed | ✓ | ✓ |",
        " | ✗ 1 failed, 9 passed | ✓ | V1 ✓, V2 ✗ no text |",
        " | too old: `ModuleNotFoundError: no module` |  |  |",
        "3.6.0 | ✓ 3 passed, of the kernels ✓ 4 passed | ✓ | `scripts/gpu --device cpu` ✓ |",
    ] == [line.removeprefix("| 3.12 | 0.32.0 | 5.19.0 | 2.13.0 | ") for line in table]


def test_the_checks_run_here(tmp_path: Path) -> None:
    """`--quick` runs `generate` and `serve` in this environment."""
    done = subprocess.run(
        [str(SCRIPT), "--quick", "--cache", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=500,
        env=environment() | ON_SHARED_CORES,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout
    assert ["generate: ok", "serve: ok"] == done.stdout.splitlines()[1:]
