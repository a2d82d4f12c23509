#!/usr/bin/env bash
# Guess: `model.generate_batch(prompts, ...)` takes the arguments of `model.generate(...)`, or
#   refuses those that it doesn't know.
# Fact: of the keyword arguments that its signature doesn't name it reads `max_new_tokens`; the others
#   go nowhere, misspelt ones too. A processor that bans a token is never called and the token comes
#   out; with `generate` the same argument bans it.
# Package: transformers 5.19.0.
# Why it matters: moving from `generate` to continuous batching drops a ban, a temperature or a
#   watermark with no error and no warning. The config is the only way in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0 psutil==7.2.2
observe <<'PY'
import torch
from transformers import (
    ContinuousBatchingConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    LogitsProcessorList,
    logging,
)

logging.set_verbosity_error()
torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=None,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()
model.generation_config.pad_token_id = 0
model.generation_config.do_sample = False
prompt = [1, 5, 6]


class Ban(LogitsProcessor):
    calls = 0

    def __init__(self, token):
        self.token = token

    def __call__(self, input_ids, scores):
        Ban.calls += 1
        scores = scores.clone()
        scores[:, self.token] = float("-inf")
        return scores


size = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=64)
first = model.generate(torch.tensor([prompt]), max_new_tokens=4)[0, 3].item()
ban = LogitsProcessorList([Ban(first)])
answer = model.generate(torch.tensor([prompt]), max_new_tokens=4, logits_processor=ban)[0, 3:].tolist()
print(f"generate: {Ban.calls} calls, the banned token comes out: {first in answer}")
Ban.calls = 0
outputs = model.generate_batch(
    [prompt],
    continuous_batching_config=size,
    warmup=False,
    max_new_tokens=4,
    logits_processor=ban,
    tempratur=3,
)
[output] = outputs.values()
assert output.error is None, output.error
answer = output.generated_tokens
print(f"generate_batch: {Ban.calls} calls, the banned token comes out: {first in answer}")
PY
expect <<'SEEN'
generate: 4 calls, the banned token comes out: False
generate_batch: 0 calls, the banned token comes out: True
SEEN
