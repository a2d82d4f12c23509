#!/usr/bin/env bash
# Guess: `/v1/responses` of `transformers serve` answers with one JSON object unless a request asks
#   for a stream, as OpenAI's API does, and as its own `/v1/chat/completions` does.
# Fact: there a request without `stream` is answered with a stream. OpenAI's client returns the text
#   of the stream's events where a Response should be, without an error.
# Package: transformers 5.19.0.
# Why it matters: `client.responses.create(...).output_text` fails; `stream=False` must be said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0 fastapi==0.165.0 uvicorn==0.54.0 openai==3.57.0 \
  rich==15.0.0 accelerate==1.15.0
observe <<'PY'
import sys
import time
from contextlib import redirect_stdout

import openai
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.cli.serve import Serve

torch.manual_seed(0)
words = {"<unk>": 0, "<end>": 1, **{f"w{number}": number for number in range(2, 60)}}
inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<end>")
tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
tiny = LlamaConfig(
    vocab_size=60, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=None, bos_token_id=None,
)  # fmt: skip
LlamaForCausalLM(tiny).save_pretrained("model")
tokenizer.save_pretrained("model")
with redirect_stdout(sys.stderr):
    server = Serve(None, device="cpu", dtype="float32", host="127.0.0.1", port=0, non_blocking=True)
    while not server.server.started:
        time.sleep(0.05)
port = server.server.servers[0].sockets[0].getsockname()[1]
client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
asked = {"model": "model", "input": "w5 w9", "max_output_tokens": 4}
for name, fields in (("without stream", {}), ("stream=False", {"stream": False})):
    raw = client.responses.with_raw_response.create(**asked, **fields)
    kind = raw.headers["content-type"].partition(";")[0]
    print(f"responses {name}: {kind}, the client returns a {type(client.responses.create(**asked, **fields)).__name__}")
raw = client.chat.completions.with_raw_response.create(model="model", messages=[{"role": "user", "content": "w5"}], max_tokens=4)
print("chat without stream:", raw.headers["content-type"].partition(";")[0])
server.kill_server()
PY
expect <<'SEEN'
responses without stream: text/event-stream, the client returns a str
responses stream=False: application/json, the client returns a Response
chat without stream: application/json
SEEN
