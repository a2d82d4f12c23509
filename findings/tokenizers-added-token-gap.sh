#!/usr/bin/env bash
# Guess: a token that is added to a tokenizer gets an id that is free.
# Fact: it gets the number of tokens as its id. A vocabulary with a gap (p50k, of GPT-3, has one) has a
#   token with that id already: both have it, and the id decodes to the new token. A special one is
#   left out of the text, and the other token with it.
# Package: tokenizers 0.23.3.
# Why it matters: Transformers converts tiktoken's files so. `<|endoftext|>` of a converted p50k has
#   the id of 25 spaces, and so would end a text there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install tokenizers==0.23.3
observe <<'PY'
from tokenizers import Tokenizer, models, pre_tokenizers

for words in ({"a": 0, "b": 1, "c": 2}, {"a": 0, "b": 2, "c": 3}):
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ids = tokenizer.encode("b c").ids
    print(f"{words}: 'b c' is {ids}, decoded {tokenizer.decode(ids)!r}")
    tokenizer.add_special_tokens(["<end>"])
    print(f"  <end> gets {tokenizer.token_to_id('<end>')}: {ids} is decoded {tokenizer.decode(ids)!r}")
PY
expect <<'SEEN'
{'a': 0, 'b': 1, 'c': 2}: 'b c' is [1, 2], decoded 'b c'
  <end> gets 3: [1, 2] is decoded 'b c'
{'a': 0, 'b': 2, 'c': 3}: 'b c' is [2, 3], decoded 'b c'
  <end> gets 3: [2, 3] is decoded 'b'
SEEN
