#!/usr/bin/env bash
# Guess: `generate(top_k=None)` is the same as not passing `top_k`.
# Fact: None replaces the value of the model's generation config, and what then holds is the
#   library's default for that field: no restriction for `temperature` and `top_k`, greedy for `do_sample`.
# Package: transformers 5.19.0.
# Why it matters: a wrapper with `def chat(text, top_k=None)` that passes its arguments on switches
#   off the sampling that the model's makers recommend.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0
observe <<'PY'
import torch
from transformers import LlamaConfig, LlamaForCausalLM, logging

logging.set_verbosity_error()
torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=200, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()
prompt = torch.tensor([[1, 5, 6]])


def answers(recommended, **arguments):
    """How many different answers 16 calls give."""
    model.generation_config = type(model.generation_config)(max_new_tokens=6, pad_token_id=0, **recommended)
    return len({tuple(model.generate(prompt, **arguments)[0].tolist()) for _ in range(16)})


for name, recommended in (
    ("top_k", {"do_sample": True, "top_k": 1}),
    ("temperature", {"do_sample": True, "temperature": 1e-4}),
    ("top_p", {"do_sample": True, "top_p": 1e-4}),
    ("do_sample", {"do_sample": True}),
):
    before, after = answers(recommended), answers(recommended, **{name: None})
    print(f"{name}={recommended[name]} in the config: {before} different answers; with {name}=None: {after}")
PY
expect <<'SEEN'
top_k=1 in the config: 1 different answers; with top_k=None: 16
temperature=0.0001 in the config: 1 different answers; with temperature=None: 16
top_p=0.0001 in the config: 1 different answers; with top_p=None: 16
do_sample=True in the config: 16 different answers; with do_sample=None: 1
SEEN
