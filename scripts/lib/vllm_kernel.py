"""vLLM's own Triton kernel for top-k and top-p, from its Python files alone.

vLLM can't be imported on a machine that lacks what it needs, and needs much. This kernel's file
needs little: what it imports of vLLM beside the files named here has a stand-in while it is loaded.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

KERNEL = "vllm.v1.sample.ops.topk_topp_triton"
# Packages of vLLM whose files are read, but not their `__init__`.
PACKAGES = (
    "vllm",
    "vllm.model_executor",
    "vllm.model_executor.warmup",
    "vllm.utils",
    "vllm.v1",
    "vllm.v1.sample",
    "vllm.v1.sample.ops",
)


def load(folder: Path) -> Callable[..., Any]:
    """Returns `apply_top_k_top_p_triton` of the vLLM whose package is in this folder."""
    ours = _forget_vllm()
    stand_ins = {name: _package(name, folder) for name in PACKAGES} | _stand_ins()
    stand_ins["vllm"].__dict__["envs"] = stand_ins["vllm.envs"]
    sys.modules.update(stand_ins)
    try:
        kernel: Callable[..., Any] = importlib.import_module(KERNEL).apply_top_k_top_p_triton
    finally:
        _forget_vllm()
        sys.modules.update(ours)
    return kernel


def _forget_vllm() -> dict[str, ModuleType]:
    """Removes vLLM's modules from those that are loaded, and returns them."""
    names = [name for name in sys.modules if name.split(".")[0] == "vllm"]
    return {name: sys.modules.pop(name) for name in names}


def _package(name: str, folder: Path) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [str(folder.joinpath(*name.split(".")))]
    return package


def _stand_ins() -> dict[str, ModuleType]:
    """What the kernel's file needs of other files of vLLM."""
    import triton
    import triton.language as tl

    platform = SimpleNamespace(is_cuda_alike=lambda: True, num_compute_units=_processors)
    contents: dict[str, dict[str, Any]] = {
        "vllm.envs": {"__getattr__": lambda name: None},
        "vllm.platforms": {"current_platform": platform},
        "vllm.triton_utils": {"HAS_TRITON": True, "tl": tl, "triton": triton},
        "vllm.utils.gpu_sync_debug": {"gpu_sync_allowed": nullcontext},
        "vllm.utils.platform_utils": {"num_compute_units": _processors},
    }
    modules = {}
    for name, content in contents.items():
        modules[name] = ModuleType(name)
        modules[name].__dict__.update(content)
    return modules


def _processors(device: int | None = None) -> int:
    """Returns the number of a GPU's multiprocessors, or of the host's cores."""
    import torch

    if not torch.cuda.is_available():
        return os.cpu_count() or 1
    return int(torch.cuda.get_device_properties(device or 0).multi_processor_count)
