#!/usr/bin/env bash
# Guess: `len(tokenizer)` is one more than the highest token id, so
#   `model.resize_token_embeddings(len(tokenizer))` fits a model to its tokenizer.
# Fact: it counts tokens. A vocabulary with a gap (BioGPT's has one) has ids that are higher, the
#   resized model has no row for them, and the tokenizer's own ids raise an IndexError.
# Package: transformers 5.19.0, tokenizers 0.23.3.
# Why it matters: a table or a mask of `len(tokenizer)` entries (banned tokens, the bytes of each token)
#   misses the last ids, without an error where it is only read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0 tokenizers==0.23.3
observe <<'PY'
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, logging

logging.set_verbosity_error()
words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<unk>": 2, "z": 7}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
model = LlamaForCausalLM(
    LlamaConfig(vocab_size=8, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
)
ids = torch.tensor([tokenizer("a z").input_ids])
print("ids:", ids.tolist(), "len:", len(tokenizer), "vocab_size:", tokenizer.vocab_size)
print("the model as made:", list(model(ids).logits.shape))
model.resize_token_embeddings(len(tokenizer))
try:
    print("resized:", list(model(ids).logits.shape))
except IndexError as error:
    print("resized:", type(error).__name__)
PY
expect <<'SEEN'
ids: [[0, 7]] len: 4 vocab_size: 4
the model as made: [1, 2, 8]
resized: IndexError
SEEN
