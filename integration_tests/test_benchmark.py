"""The benchmark runs, in its short form; what it measures is docs/benchmarks.md."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "benchmark.py"


def benchmark(what: str) -> dict[str, Any]:
    """The numbers of a short run."""
    command = [sys.executable, str(SCRIPT), what, "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_ops() -> None:
    """Every kind of work is measured, ours and each peer's that has it."""
    costs = benchmark("ops")["costs"]
    peers = {cost["peer"] for cost in costs}

    assert peers >= {"ours", "Transformers", "vLLM", "loop over rows", "llama.cpp"}
    assert all(cost["milliseconds"] > 0 and cost["passes"] > 0 for cost in costs)
    assert {"dry, 64 tokens", "xtc", "8 presets of the same stages"} <= {c["work"] for c in costs}


def test_compile() -> None:
    """Our passes stand beside compiled ones; dropping is the one that gives the same bits."""
    compiled = benchmark("compile")["compiled"]

    assert len(compiled) == 3
    assert compiled[0]["same_bits"]
    assert all(one["milliseconds"] > 0 and one["compiled"] > 0 for one in compiled)
