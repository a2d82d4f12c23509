#!/usr/bin/env bash
# Guess: while a ContinuousBatchingManager runs, `generate` of the same model in another thread is
#   slow, and right: the weights don't change, and each has a cache of its own.
# Fact: `generate` loses the causal mask: each token of its prompt sees those behind it. A step of
#   the manager writes `is_causal = False` into the model's configuration, which all threads share,
#   and takes it back afterwards. A forward pass that begins meanwhile reads it, and writes it back
#   when it ends: then it stays there, after the manager is gone too, for every later call.
# Package: transformers 5.19.0, attention `sdpa`; psutil, by which the manager asks for the memory.
# Why it matters: the text is fluent and wrong, and nothing says so. A program that serves from a
#   manager and checks or compares with `generate` needs a second copy of the model for that.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0 psutil==7.2.2
observe <<'PY'
import torch
from transformers import (
    ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM, logging,
)  # fmt: skip

logging.set_verbosity_error()
torch.manual_seed(0)
torch.set_num_threads(1)
config = LlamaConfig(
    vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
    initializer_range=0.2, attn_implementation="sdpa",
)  # fmt: skip
model = LlamaForCausalLM(config).eval()
prompt = torch.tensor([[5, 9, 17, 33]])
fields = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 0, "eos_token_id": None}


def greedy():
    return model.generate(prompt, attention_mask=torch.ones_like(prompt), **fields).tolist()


def where():
    return getattr(model.config, "is_causal", "absent")


right, before = greedy(), where()
changed = False
for _ in range(20):  # until the two threads have met so that it stays
    manager = model.init_continuous_batching(
        GenerationConfig(do_sample=True, eos_token_id=-1, max_new_tokens=200),
        ContinuousBatchingConfig(num_blocks=200, page_size=8, max_batch_tokens=64),
    )
    manager.start()
    for number in range(4):
        manager.add_request([5, 9, 17 + number])
    for _ in range(20):
        changed |= greedy() != right
    manager.stop(block=True)
    manager.destroy()
    if where() is False:
        break
print("is_causal in the configuration before:", before)
print("another greedy text while a manager ran:", changed)
print("is_causal in the configuration, with no manager left:", where())
print("another greedy text, with no manager left:", greedy() != right)
del model.config.is_causal
print("without that entry the text is as before:", greedy() == right)
PY
expect <<'SEEN'
is_causal in the configuration before: absent
another greedy text while a manager ran: True
is_causal in the configuration, with no manager left: False
another greedy text, with no manager left: True
without that entry the text is as before: True
SEEN
