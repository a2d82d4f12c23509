"""The kernels compile for a GPU, and fit it. The script of that name does so for every target."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.no_gpu import NAMES

TESTS = Path(__file__).parents[2]
REGISTERS = 65_536  # of a multiprocessor
# Bytes of a thread's stack, for spilled registers and calls in float64. Triton 3.6 to 3.9 differ
# little.
MOST_STACK = 768
MOST_SHARED = 48 * 1024  # bytes that every GPU gives without being asked


def told_by(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a module says in a process without Triton's interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, "-W", "default", "-m", f"tests.kernels.{module}", *arguments],
        env=environment | {"PYTHONPATH": str(TESTS)},
        check=True,
        capture_output=True,
        text=True,
    )


def test_the_kernels_fit_an_h100() -> None:
    """They take no more registers than a multiprocessor has, and spill few."""
    told = told_by("compiled", "sm_90")
    kernels = {kernel["kernel"]: kernel for kernel in map(json.loads, told.stdout.splitlines())}

    assert {*NAMES.values()} == kernels.keys()
    for kernel in kernels.values():
        assert kernel["reg"] * kernel["threads"] <= REGISTERS
        assert kernel["stack"] <= MOST_STACK
        assert kernel["shared"] <= MOST_SHARED
        # A fused multiplication and addition rounds once, which another version may do elsewhere.
        assert 0 == kernel["fused"]
    assert "fusion" not in told.stderr.lower()  # Triton warns where that is left to its default


@pytest.mark.parametrize("vocabulary", [40, 48])
def test_a_step_compiles_nothing(vocabulary: int) -> None:
    """The start of a server has compiled every variant of a kernel that a step launches."""
    pytest.importorskip("vllm")
    told = json.loads(told_by("variants", str(vocabulary)).stdout)

    for part in ("start", "steps"):
        assert {*NAMES.values()} == {name for name, _ in told[part]}
    assert [] == [variant for variant in told["steps"] if variant not in told["start"]]
