#!/usr/bin/env bash
# Guess: with `top_k=1` sampling is greedy, whatever the seed.
# Fact: all tokens that tie with the k-th stay. Logits in bfloat16 have 8 bits, so the best two are
#   often equal, and `top_k=1` draws between them: other seeds, other texts.
# Package: transformers 5.19.0.
# Why it matters: `top_k=1` is a usual way to say "greedy" where a client can't turn sampling off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0
observe <<'PY'
import torch
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=50_000, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=None, bos_token_id=None,
    initializer_range=0.3,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()
prompt = {"input_ids": torch.tensor([[5, 9, 14]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
for kind in (torch.float32, torch.bfloat16):
    model = model.to(kind)
    texts = set()
    for seed in range(10):
        set_seed(seed)
        done = model.generate(**prompt, do_sample=True, top_k=1, max_new_tokens=40, pad_token_id=0)
        texts.add(tuple(done[0].tolist()))
    print(f"{kind}: {'one text' if len(texts) == 1 else 'several texts'} from 10 seeds at top_k=1")
PY
expect <<'SEEN'
torch.float32: one text from 10 seeds at top_k=1
torch.bfloat16: several texts from 10 seeds at top_k=1
SEEN
