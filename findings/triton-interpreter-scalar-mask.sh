#!/usr/bin/env bash
# Guess: a kernel that compiles also runs under Triton's interpreter (`TRITON_INTERPRET=1`).
# Fact: a mask made of a condition on a scalar and one on a block is refused there, as a mask of an
#   "unsupported dtype": the scalar's condition is kept as a number, and what is made of both too.
#   The compiler takes the same kernel, and the interpreter does where both are blocks.
# Packages: triton 3.9.0, compiled for compute capability 9.0, torch 2.13.0, NumPy 2.4.2; no GPU is
#   needed.
# Why it matters: "this row is active, and this token exists" is how samplers mask. vLLM 0.32's kernel
#   for grammars does so, and its V2 runner writes none under the interpreter.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install triton==3.9.0 torch==2.13.0 numpy==2.4.2
observe <<'PY'
import os

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


def scalar(row, length, active, BLOCK: tl.constexpr):
    token = tl.arange(0, BLOCK)
    tl.store(row + token, 1.0, mask=(active > 0) & (token < length))


def block(row, length, active, BLOCK: tl.constexpr):
    token = tl.arange(0, BLOCK)
    tl.store(row + token, 1.0, mask=(active + 0 * token > 0) & (token < length))


def compiled(kernel):
    signature = {"row": "*fp32", "length": "i32", "active": "i32", "BLOCK": "constexpr"}
    source = ASTSource(triton.jit(kernel), signature, constexprs={"BLOCK": 8})
    return "compiles" if triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"] else ""


def interpreted(kernel):
    row = torch.zeros(8)
    try:
        triton.jit(kernel)[(1,)](row, 5, 1, BLOCK=8)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return row.tolist()


for kernel in (scalar, block):
    os.environ["TRITON_INTERPRET"] = "0"
    print(f"{kernel.__name__}: {compiled(kernel)}")
    os.environ["TRITON_INTERPRET"] = "1"
    print(f"{kernel.__name__}, interpreted: {interpreted(kernel)}")
PY
expect <<'SEEN'
scalar: compiles
scalar, interpreted: InterpreterError: ValueError('mask has unsupported dtype')
block: compiles
block, interpreted: [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
SEEN
