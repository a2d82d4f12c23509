"""The benchmark runs, in its short form; what it measures is docs/benchmarks.md."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scripts.lib.benchmark import chains
from scripts.lib.benchmark.disk import run_disk
from scripts.lib.benchmark.scale import run_scale
from scripts.lib.benchmark.ways import run_ways
from scripts.lib.report_tables import chains as chains_table
from scripts.lib.report_tables import scale_admission, scale_steps

from integration_tests.harness import forks

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "benchmark"


def benchmark(what: str) -> dict[str, Any]:
    """The numbers of one part of the benchmark, in its short form."""
    command = [str(SCRIPT), what, "--quick", "--json"]
    env = os.environ | {"PYTHON": forks.python("v1")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]
    numbers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def test_ops() -> None:
    """Every kind of work is measured: Temperament's op, and that of each peer which has one."""
    costs = benchmark("ops")["costs"]
    peers = {cost["peer"] for cost in costs}

    assert peers >= {"ours", "Transformers", "vLLM", "loop over rows", "llama.cpp"}
    assert all(cost["milliseconds"] > 0 and cost["passes"] > 0 for cost in costs)
    assert {"dry, 64 tokens", "xtc", "8 presets of the same stages"} <= {c["work"] for c in costs}


def test_compile() -> None:
    """Three passes are compared with compiled ones; the first gives the same bits."""
    compiled = benchmark("compile")["compiled"]

    assert 3 == len(compiled)
    assert compiled[0]["same_bits"]
    assert all(each["milliseconds"] > 0 and each["compiled"] > 0 for each in compiled)


def test_batching() -> None:
    """Rounds of one manager with presets and without take turns; the ratios are of their rates."""
    pytest.importorskip("transformers.generation.continuous_batching.cb_logits_processors")
    numbers = benchmark("batching")

    assert {"with 8 presets", "without presets"} == numbers["rates"].keys()
    assert all(rate > 0 for found in numbers["rates"].values() for pair in found for rate in pair)
    assert numbers["ratio"] > 0
    assert numbers["processor ratio"] > 0


def test_ways() -> None:
    """NumPy's sort and partition are timed, and torch's for the same."""
    milliseconds = run_ways(quick=True)

    assert {"NumPy sort of 65,536", "torch sort of 65,536"} <= milliseconds.keys()
    assert all(number > 0 for number in milliseconds.values())


def test_scale() -> None:
    """Admission, its files read again, the tables and a step of many presets are measured."""
    numbers = run_scale(quick=True)

    assert 3 == len(numbers["admission"]["microseconds"])
    assert {1, 8} == numbers["steps"].keys()
    assert all(found["step, ms"] > 0 for found in numbers["steps"].values())
    for table in (scale_admission, scale_steps):  # of docs/reports/scale.md, two rows each
        assert 4 == len(table({"machine": "a machine", **numbers}, "en").splitlines())


def test_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samplers are timed as torch operators and compiled, and a peer beside them."""
    monkeypatch.setattr(chains, "COMPARED", ("Transformers",))  # to import vLLM takes seconds
    numbers = chains.run_chains(quick=True)

    cuts = [f"4, {cut}" for cut in chains.CUTS]
    assert ["1", "8", *cuts, chains.PROCESS] == [*numbers["times"]]
    assert {"operators, ms", "compiled, ms", "Transformers"} == numbers["times"]["8"].keys()
    assert all(number > 0 for found in numbers["times"].values() for number in found.values())
    table = chains_table({"machine": "a machine", **numbers}, "en")
    assert 5 + len(cuts) == len(table.splitlines())


def test_disk() -> None:
    """Preset files are read from a slow disk, and while it stalls requests are answered."""
    numbers = run_disk(quick=True)

    assert 80 < numbers["the first time"]["looks"]
    assert 1 < numbers["requests"]["the disk stalls"]["count"]
