"""Compiles the kernels for real GPUs, on a machine without one.

    python -m tests.kernels.compiled TARGET ... [--all]

launches what the start of a server launches, and prints a line of JSON for each kernel that Triton
compiles for each target (`sm_90`, `gfx942`, ...): the threads of a program and its bytes of shared
memory, and on NVIDIA the registers and the bytes of a thread's stack, which holds spilled
registers, and how many multiplications are fused with an addition. Without `--all` only for the
vocabulary of the benchmarks. It is a process of its own, since Triton's interpreter can't be left.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.kernels.no_gpu import compiling, start

BENCHMARKED = 151_936
# Every size of a block. A vocabulary that is a multiple of 16 is compiled apart from others.
VOCABULARIES = (BENCHMARKED, BENCHMARKED + 1, 100, 256, 500, 1024)


def resources(kernel: Any) -> dict[str, int]:
    """Returns what a compiled kernel takes of a GPU."""
    metadata = kernel.metadata
    threads = int(metadata.num_warps * metadata.target.warp_size)
    found = {"threads": threads, "shared": int(metadata.shared)}
    if "cubin" in kernel.asm:
        found["fused"] = len(re.findall(r"\bfma\.rn\.f32\b", kernel.asm["ptx"]))
        import triton

        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(kernel.asm["cubin"])
            file.flush()
            told = subprocess.run(
                [tool, "-res-usage", file.name], check=True, capture_output=True, text=True
            ).stdout
        found |= {name.lower(): int(n) for name, n in re.findall(r"(REG|STACK):(\d+)", told)}
    return found


def main(arguments: list[str]) -> None:
    """Compiles for each target."""
    vocabularies = VOCABULARIES if "--all" in arguments else (BENCHMARKED,)
    for target in arguments:
        if target == "--all":
            continue
        size: dict[str, int] = {}

        def done(name: str, kernel: Any, target: str = target, size: Any = size) -> None:
            facts = {"target": target, "kernel": name, **size, **resources(kernel)}
            print(json.dumps(facts), flush=True)

        with compiling(target, done):
            for vocabulary in vocabularies:
                size["vocabulary"] = vocabulary
                start(vocabulary)


if __name__ == "__main__":
    main(sys.argv[1:])
