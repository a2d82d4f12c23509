#!/usr/bin/env bash
# Guess: `bad_words_ids=[[eos]]` keeps `generate` from ending the text.
# Fact: a sequence that is the end-of-text token alone is dropped without a word; `suppress_tokens`
#   bans the same token.
# Package: transformers 5.19.0.
# Why it matters: whoever bans the end of the text that way to get longer answers gets the same
#   short ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0
observe <<'PY'
import warnings

import torch
from transformers import LlamaConfig, LlamaForCausalLM

END = 2
torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=200, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=END, pad_token_id=0,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()
prompt = torch.tensor([[1, 5, 6]])
# Without a ban every answer ends at once.
ends = {"do_sample": False, "max_new_tokens": 8, "sequence_bias": [[[END], 100.0]]}

for name, arguments in (
    ("no ban", {}),
    ("bad_words_ids", {"bad_words_ids": [[END]]}),
    ("bad_words_ids with another", {"bad_words_ids": [[END], [7]]}),
    ("suppress_tokens", {"suppress_tokens": [END]}),
):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = model.generate(prompt, **{**ends, **arguments})[0, 3:].tolist()
    about = [str(warning.message) for warning in said if "bad_words" in str(warning.message)]
    print(f"{name}: {len(answer)} tokens, the end among them: {END in answer}; warnings: {len(about)}")
PY
expect <<'SEEN'
no ban: 1 tokens, the end among them: True; warnings: 0
bad_words_ids: 1 tokens, the end among them: True; warnings: 0
bad_words_ids with another: 1 tokens, the end among them: True; warnings: 0
suppress_tokens: 8 tokens, the end among them: False; warnings: 0
SEEN
