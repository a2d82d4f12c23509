#!/usr/bin/env bash
# Guess: a row's repetition penalty is of the row's own tokens: alone and beside a longer row in a
#   padded batch, with its attention mask, its scores are the same.
# Fact: the padding counts as tokens of the prompt. Where the padding is the end of the text, as it is
#   for models without a token of its own, the end becomes less likely in every row but the longest.
# Package: transformers 5.19.0.
# Why it matters: short prompts of a batch get longer answers than alone, and an evaluation's
#   results depend on which prompts share a batch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0
observe <<'PY'
import torch
from transformers import LlamaConfig, LlamaForCausalLM

END, PENALTY = 0, 1.5
torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=40, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=END, pad_token_id=END,
    bos_token_id=None, initializer_range=0.5,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()
short, long = [5, 9], [5, 9, 14, 3, 7]


def scores(rows, **arguments):
    """The scores of the first row's first token."""
    most = max(map(len, rows))
    padded = [[END] * (most - len(row)) + row for row in rows]
    mask = [[0] * (most - len(row)) + [1] * len(row) for row in rows]
    done = model.generate(
        input_ids=torch.tensor(padded), attention_mask=torch.tensor(mask), max_new_tokens=1,
        do_sample=False, output_scores=True, return_dict_in_generate=True, **arguments,
    )  # fmt: skip
    return done.scores[0][0]


for name, arguments in (("no penalty", {}), ("repetition_penalty", {"repetition_penalty": PENALTY})):
    alone, beside = scores([short], **arguments), scores([short, long], **arguments)
    differ = [token for token in range(40) if not torch.isclose(alone[token], beside[token], atol=1e-3)]
    print(f"{name}: tokens whose score depends on the batch: {differ}")
ratio = beside[END] / alone[END]
print("the end's score is penalised once:", bool(torch.isclose(ratio, torch.tensor(PENALTY if alone[END] < 0 else 1 / PENALTY), atol=1e-3)))
PY
expect <<'SEEN'
no penalty: tokens whose score depends on the batch: []
repetition_penalty: tokens whose score depends on the batch: [0]
the end's score is penalised once: True
SEEN
