#!/usr/bin/env bash
# Guess: `stop_strings` look for a text in the answer.
# Fact: a text that begins in the prompt and ends in the answer's first token stops it, too. One that
#   stands in the prompt alone doesn't.
# Package: transformers 5.19.0.
# Why it matters: an answer that continues a prompt (a prefilled one, or code) stops after one token.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0
observe <<'PY'
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, PreTrainedTokenizerFast

letters = {letter: number for number, letter in enumerate("?abcdefgh")}
inner = Tokenizer(models.WordLevel(letters, unk_token="?"))
inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
inner.decoder = decoders.Fuse()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
tiny = LlamaConfig(
    vocab_size=9, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=None, bos_token_id=None,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()


class Writes(LogitsProcessor):
    """Makes the model write a text."""

    def __init__(self, text, prompt):
        self.text, self.prompt = text, prompt

    def __call__(self, ids, scores):
        token = letters[self.text[ids.shape[1] - self.prompt]]
        return torch.full_like(scores, float("-inf")).index_fill_(1, torch.tensor([token]), 0.0)


for prompt, writes, stop in (
    ("ab", "cdef", "cd"),
    ("ab", "cdef", "bc"),
    ("ab", "cdef", "abc"),
    ("ab", "cdef", "ab"),
    ("ab", "cdef", "a"),
):
    ids = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)["input_ids"]
    done = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=4,
        stop_strings=[stop], tokenizer=tokenizer, pad_token_id=0,
        logits_processor=[Writes(writes, len(prompt))],
    )  # fmt: skip
    print(f"{prompt} + {writes}, stop at {stop}: {tokenizer.decode(done[0, len(prompt):])}")
PY
expect <<'SEEN'
ab + cdef, stop at cd: cd
ab + cdef, stop at bc: c
ab + cdef, stop at abc: c
ab + cdef, stop at ab: cdef
ab + cdef, stop at a: cdef
SEEN
