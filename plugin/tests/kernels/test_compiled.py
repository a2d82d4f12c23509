"""The kernels compile for a GPU, and fit it. The script of that name does so for every target."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

# threads of a block, for a large vocabulary
THREADS = {"chain": 512, "biases": 256, "matches": 256, "tokens": 128}
REGISTERS = 65_536  # of a multiprocessor
# Bytes of a thread's stack, for spilled registers and calls in float64. Triton 3.6 spills more of
# the kernel of shapes and cuts; that is its own doing, since the ptxas of 3.9 changes nothing.
MOST_STACK = {(3, 6): 640}
OTHERWISE = 512
MOST_SHARED = 48 * 1024  # bytes that every GPU gives without being asked


def test_the_kernels_fit_an_h100() -> None:
    """They take no more registers than a multiprocessor has, and spill few."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    tests = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-m", "tests.kernels.compiled", "sm_90"],
        env=environment | {"PYTHONPATH": str(tests)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    major, minor = importlib.metadata.version("triton").split(".")[:2]
    version = int(major), int(minor)
    kernels = {kernel["kernel"]: kernel for kernel in map(json.loads, told.splitlines())}

    assert THREADS.keys() == kernels.keys()
    for name, kernel in kernels.items():
        assert kernel["reg"] * THREADS[name] <= REGISTERS
        assert kernel["stack"] <= MOST_STACK.get(version, OTHERWISE)
        assert kernel["shared"] <= MOST_SHARED
