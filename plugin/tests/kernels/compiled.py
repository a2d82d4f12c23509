"""Compiles the kernels for real GPUs, on a machine without one.

    python -m tests.kernels.compiled TARGET ... [--all]

prints a line of JSON for each target (`sm_90`, `gfx942`, ...): the bytes of shared memory, and on
NVIDIA the registers and the bytes of a thread's stack, which holds spilled registers. Without
`--all` only for the vocabulary of the benchmarks. It is a process of its own, since Triton's
interpreter can't be left.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BENCHMARKED = 151_936
# Every size of a block. A vocabulary that is a multiple of 16 is compiled apart from others.
VOCABULARIES = (100, 256, 500, 1024, BENCHMARKED, BENCHMARKED + 1)


def target_of(name: str) -> Any:
    """Returns Triton's target for `sm_90`, `gfx942`, ..."""
    from triton.backends.compiler import GPUTarget

    if name.startswith("gfx"):
        return GPUTarget("hip", name, 64)
    return GPUTarget("cuda", int(name.removeprefix("sm_")), 32)


def compile_chain(target: Any, vocabulary: int) -> Any:
    """Returns the compiled kernel of shapes and cuts."""
    import triton
    from triton.compiler import ASTSource

    from temperament.kernels import run_chain as operator
    from temperament.kernels.device.run_chain import run_chain

    sizes = operator.sizes(vocabulary)
    constants = {"PIVOTS": operator.PIVOTS, "CAPACITY": sizes.capacity, "BLOCK": sizes.block}
    types = dict.fromkeys(inspect.signature(run_chain.fn).parameters, "*i64")
    types |= dict.fromkeys(constants, "constexpr")
    types |= dict.fromkeys(("stride", "token_stride"), "i64")
    types |= dict.fromkeys(("vocabulary", "protected_width", "newlines"), "i32")
    types |= dict.fromkeys(("numbers", "mirostat_value", "adaptive_value"), "*fp64")
    types |= dict.fromkeys(("programs", "protected", "list_tokens", "sorted_places"), "*i32")
    types |= {"newline": "*i8"}
    floats = ("logits", "normaliser")
    types |= {name: "*fp32" for name in types if name.endswith("_values") or name.endswith(floats)}
    attributes = {}
    if vocabulary % 16 == 0:
        place = [*inspect.signature(run_chain.fn).parameters].index("vocabulary")
        attributes = {(place,): [["tt.divisibility", 16]]}
    source = ASTSource(fn=run_chain, signature=types, constexprs=constants, attrs=attributes)
    options = {"num_warps": sizes.warps, "enable_fp_fusion": False}
    return triton.compile(source, target=target, options=options)


def _compiled(kernel: Any, target: Any, types: dict[str, str], constants: Any, warps: int) -> Any:
    import triton
    from triton.compiler import ASTSource

    names = inspect.signature(kernel.fn).parameters
    signature = {name: types.get(name, "*i64") for name in names}
    signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    return triton.compile(source, target=target, options=options)


def compile_biases(target: Any) -> Any:
    """Returns the compiled kernel of biases, penalties and bans: one for all vocabularies."""
    from temperament.kernels import run_biases as operator
    from temperament.kernels.device.run_biases import run_biases

    types = dict.fromkeys(("stride", "token_stride", "length_stride"), "i64")
    types |= dict.fromkeys(("vocabulary", "breaker_window", "banned_window", "size", "most"), "i32")
    types |= dict.fromkeys(("logits", "before"), "*fp32") | {"numbers": "*fp64"}
    types |= dict.fromkeys(("programs", "lengths", "entries", "prefixes", "list_starts"), "*i32")
    types |= dict.fromkeys(("plain", "other", "counts"), "*i32")
    types |= dict.fromkeys(("hits", "other_hits", "completes"), "*i8")
    return _compiled(run_biases, target, types, {"BLOCK": operator.BLOCK}, operator.WARPS)


def compile_matches(target: Any) -> Any:
    """Returns the compiled kernel of suffix matches."""
    from temperament.kernels import extend_matches as operator
    from temperament.kernels.device.extend_matches import extend_matches

    types = dict.fromkeys(("length_stride", "token_stride"), "i64")
    types |= dict.fromkeys(("rows", "positions"), "i32")
    types |= dict.fromkeys(("lengths", "before", "result"), "*i32")
    return _compiled(extend_matches, target, types, {"BLOCK": operator.BLOCK}, operator.WARPS)


def compile_tokens(target: Any) -> Any:
    """Returns the compiled kernel that copies new tokens."""
    from temperament.kernels import append_tokens as operator
    from temperament.kernels.device.append_tokens import append_tokens

    types = dict.fromkeys(("table_stride", "token_stride"), "i64")
    types |= dict.fromkeys(("table", "prompt_lengths", "slots", "before", "fed"), "*i32")
    return _compiled(append_tokens, target, types, {"BLOCK": operator.BLOCK}, operator.WARPS)


SIMPLE = {"biases": compile_biases, "matches": compile_matches, "tokens": compile_tokens}


def resources(kernel: Any) -> dict[str, int]:
    """Returns a compiled kernel's bytes of shared memory, its registers and its bytes of stack."""
    found = {"shared": int(kernel.metadata.shared)}
    if "cubin" in kernel.asm:
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


def main(names: list[str]) -> None:
    """Compiles for each target."""
    vocabularies = VOCABULARIES if "--all" in names else (BENCHMARKED,)
    for name in names:
        for part, compiled in SIMPLE.items():
            if name != "--all":
                found = resources(compiled(target_of(name)))
                print(json.dumps({"target": name, "kernel": part, **found}), flush=True)
        for vocabulary in () if name == "--all" else vocabularies:
            kernel = compile_chain(target_of(name), vocabulary)
            facts = {"target": name, "kernel": "chain", "vocabulary": vocabulary}
            print(json.dumps({**facts, **resources(kernel)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
