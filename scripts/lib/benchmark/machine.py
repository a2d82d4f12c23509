"""The machine and the versions that a benchmark ran with."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def header() -> dict[str, Any]:
    """The machine and the versions."""
    versions = {}
    for name in ("torch", "numpy", "transformers", "vllm", "xllamacpp"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(li.partition(":")[2].strip() for li in lines if li.startswith("model name"))
    return {
        "machine": model,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **versions,
    }
