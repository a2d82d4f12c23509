"""The environment variables of the processes that run vLLM in the tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Runner = Literal["v1", "v2"]

SHIM = Path(__file__).with_name("shim")
# More environment for a server that shares two cores with other servers and tests. vLLM's engine
# runs the model in its own process, as it does on one GPU; on a CPU it otherwise starts a further
# process for that, which costs a third of the start. The kernel chooses the core, where vLLM would
# bind the models of all servers to the same one.
ON_SHARED_CORES = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


def environment(runner: Runner = "v1") -> dict[str, str]:
    """The environment in which a process's vLLM uses this model runner, on the CPU and offline."""
    env = os.environ | {
        "VLLM_PLUGINS": "temperament",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if runner == "v2":
        path = [str(SHIM), *filter(None, [os.environ.get("PYTHONPATH")])]
        env |= {"PYTHONPATH": os.pathsep.join(path), "VLLM_USE_V2_MODEL_RUNNER": "1"}
    return env
