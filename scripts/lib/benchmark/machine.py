"""The machine and the versions that a benchmark ran with."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from temperament.batch.candidates import WIDTHS
from temperament.batch.host_chains import SHORTEST, runs_compiled


def header() -> dict[str, Any]:
    """The machine, the instruction sets that torch and NumPy use on it, and the versions.

    numba is among them if samplers are compiled.
    """
    versions = {}
    for name in ("torch", "numpy", "transformers", "vllm", "xllamacpp"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    if runs_compiled(SHORTEST, WIDTHS[0]):
        versions["numba"] = version("numba")
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(li.partition(":")[2].strip() for li in lines if li.startswith("model name"))
    return {
        "machine": model,
        "instructions": f"{torch.backends.cpu.get_cpu_capability()} (torch), {_of_numpy()} (NumPy)",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **versions,
    }


def _of_numpy() -> str:
    """The newest instruction set that NumPy found, without those that it leaves out."""
    simd: Any = np.show_config(mode="dicts")
    return str(
        [*simd["SIMD Extensions"]["baseline"], *simd["SIMD Extensions"].get("found", ())][-1]
    )
