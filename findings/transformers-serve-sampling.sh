#!/usr/bin/env bash
# Guess: `transformers serve` draws at a request's `temperature`, and its `frequency_penalty` lowers
#   a token by that number for each time that the answer has it, as OpenAI's API says.
# Fact: the temperature acts only if the model's generation_config.json has `do_sample: true`; else
#   every answer is the most likely one, whatever the temperature, without a word. And
#   frequency_penalty f becomes repetition_penalty 1 + f, which divides, counts the prompt's tokens
#   and doesn't count how often; so below 0 it draws tokens nearer to what was said.
# Package: transformers 5.19.0.
# Why it matters: a client's settings mean something else there than on other servers of that API.
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

SIZE, END = 60, 1
torch.manual_seed(0)
words = {"<unk>": 0, "<end>": END, **{f"w{number}": number for number in range(2, SIZE)}}
inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<end>")
tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
tiny = LlamaConfig(
    vocab_size=SIZE, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=2, eos_token_id=None, bos_token_id=None,
    initializer_range=0.5,
)  # fmt: skip
model = LlamaForCausalLM(tiny).eval()
for name, sampling in (("plain", None), ("sampling", True)):
    model.generation_config.do_sample = sampling
    model.save_pretrained(name)
    tokenizer.save_pretrained(name)

PROMPT = "w5 w9 w9 w14"
with redirect_stdout(sys.stderr):
    server = Serve(
        None, device="cpu", dtype="float32", host="127.0.0.1", port=0, non_blocking=True
    )
    while not server.server.started:
        time.sleep(0.05)
port = server.server.servers[0].sockets[0].getsockname()[1]
client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)


def answer(model_name, **fields):
    done = client.chat.completions.create(
        model=model_name, messages=[{"role": "user", "content": PROMPT}], max_tokens=12, **fields
    )
    return done.choices[0].message.content


def greedy(**arguments):
    inputs = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)
    done = model.generate(**inputs, do_sample=False, max_new_tokens=12, **arguments)
    return tokenizer.decode(done[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


for name in ("plain", "sampling"):
    texts = {answer(name, temperature=1.5, seed=seed) for seed in range(5)}
    print(f"{name}: {len(texts)} texts from 5 seeds at temperature 1.5")
print("the one text is the greedy one:", answer("plain", temperature=1.5) == greedy())
for penalty in (-0.5, 0.5, 1.0):
    same = answer("plain", frequency_penalty=penalty) == greedy(repetition_penalty=1 + penalty)
    print(f"frequency_penalty {penalty} writes what repetition_penalty {1 + penalty} does: {same}")
print("and not what no penalty does:", answer("plain", frequency_penalty=1.0) != greedy())
server.kill_server()
PY
expect <<'SEEN'
plain: 1 texts from 5 seeds at temperature 1.5
sampling: 5 texts from 5 seeds at temperature 1.5
the one text is the greedy one: True
frequency_penalty -0.5 writes what repetition_penalty 0.5 does: True
frequency_penalty 0.5 writes what repetition_penalty 1.5 does: True
frequency_penalty 1.0 writes what repetition_penalty 2.0 does: True
and not what no penalty does: True
SEEN
