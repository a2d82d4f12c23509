#!/usr/bin/env bash
# Guess: `tl.range(..., num_stages=4)` prefetches a row of logits, whatever their type.
# Fact: the loop is pipelined only where a thread loads four bytes or more at once. A row of 16-bit
#   logits, masked at a length that isn't known to be a multiple of 16, is loaded two bytes at a
#   time: every number of stages then compiles to the same loop, without a word.
# Package: triton 3.9.0, compiled for compute capability 9.0; no GPU is needed.
# Why it matters: GPT-2's vocabulary has 50,257 tokens. A sampler's kernel that was tuned on a
#   vocabulary of 151,936, or on float32, loses its prefetching there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install triton==3.9.0
observe <<'PY'
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def highest(logits, out, length, BLOCK: tl.constexpr, STAGES: tl.constexpr):
    lane = tl.arange(0, BLOCK)
    best = tl.full((BLOCK,), float("-inf"), tl.float32)
    for start in tl.range(0, length, BLOCK, num_stages=STAGES):
        token = start + lane
        row = tl.load(logits + token, mask=token < length, other=float("-inf"))
        best = tl.maximum(best, row.to(tl.float32))
    tl.store(out, tl.max(best, 0))


types = {"logits": "*bf16", "out": "*fp32", "length": "i32", "BLOCK": "constexpr", "STAGES": "constexpr"}
aligned = [["tt.divisibility", 16]]
for name in ("fp32", "bf16"):
    for attributes in ({(0,): aligned}, {(0,): aligned, (2,): aligned}):
        for stages in (1, 4):
            source = ASTSource(
                highest,
                signature=types | {"logits": f"*{name}"},
                constexprs={"BLOCK": 2048, "STAGES": stages},
                attrs=attributes,
            )
            kernel = triton.compile(source, target=GPUTarget("cuda", 90, 32))
            length = "a multiple of 16" if (2,) in attributes else "any length"
            copies = "asynchronous" if "cp.async" in kernel.asm["ptx"] else "direct"
            print(f"{name}, {length}, {stages} stages: {copies} loads, {kernel.metadata.shared} bytes shared")
PY
expect <<'SEEN'
fp32, any length, 1 stages: direct loads, 16 bytes shared
fp32, any length, 4 stages: asynchronous loads, 24576 bytes shared
fp32, a multiple of 16, 1 stages: direct loads, 16 bytes shared
fp32, a multiple of 16, 4 stages: asynchronous loads, 24576 bytes shared
bf16, any length, 1 stages: direct loads, 16 bytes shared
bf16, any length, 4 stages: direct loads, 16 bytes shared
bf16, a multiple of 16, 1 stages: direct loads, 16 bytes shared
bf16, a multiple of 16, 4 stages: asynchronous loads, 12288 bytes shared
SEEN
