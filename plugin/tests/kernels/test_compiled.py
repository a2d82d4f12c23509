"""The kernels compile for a GPU, and fit it. The script of that name does so for every target."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

THREADS = 512  # of a block for a large vocabulary
REGISTERS = 65_536  # of a multiprocessor
MOST_STACK = 512  # bytes of a thread's stack, for spilled registers and calls in float64
MOST_SHARED = 48 * 1024  # bytes that every GPU gives without being asked


def test_the_kernels_fit_an_h100() -> None:
    """They take all registers of a block that is alone on its multiprocessor, and no more."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    tests = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-m", "tests.kernels.compiled", "sm_90"],
        env=environment | {"PYTHONPATH": str(tests)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (kernel,) = (json.loads(line) for line in told.splitlines())

    assert kernel["reg"] * THREADS <= REGISTERS
    assert kernel["stack"] <= MOST_STACK
    assert kernel["shared"] <= MOST_SHARED
