"""mlx-lm's samplers, in an environment of their own."""

from __future__ import annotations

import json
import subprocess

import torch
from scripts.lib.programs.child import answering
from scripts.lib.programs.stages import Program, drawn_logits, measured

# Runs in an environment with mlx-lm: a request's fields, logits and tokens in, probabilities out.
MLX = """
import json, pathlib, sys
import mlx.core as mx
from importlib.util import find_spec, module_from_spec, spec_from_file_location

# its file of samplers alone: the package would load models
[folder] = find_spec("mlx_lm").submodule_search_locations
spec = spec_from_file_location("sample_utils", pathlib.Path(folder) / "sample_utils.py")
sample_utils = module_from_spec(spec)
spec.loader.exec_module(sample_utils)

def by_ids(biases):
    return {int(token): bias for token, bias in biases.items()} if biases else None

for line in sys.stdin:
    body, logits, tokens = json.loads(line)
    get = body.get
    # what its server does with a request's fields
    chain = sample_utils.make_logits_processors(
        by_ids(get("logit_bias")),
        get("repetition_penalty", 0.0), get("repetition_context_size", 20),
        get("presence_penalty", 0.0), get("presence_context_size", 20),
        get("frequency_penalty", 0.0), get("frequency_context_size", 20),
    )
    row = mx.array([logits])
    for each in chain:
        row = each(mx.array(tokens), row)
    row = row - mx.logsumexp(row, axis=-1, keepdims=True)
    seen = []
    sample_utils.categorical_sampling = lambda row, t: seen.append(mx.softmax(row / t, axis=-1))
    sample_utils.make_sampler(
        get("temperature", 0.0), top_p=get("top_p", 1.0), min_p=get("min_p", 0.0),
        top_k=get("top_k", 0), xtc_probability=get("xtc_probability", 0.0),
        xtc_threshold=get("xtc_threshold", 0.1),
    )(row)
    print(json.dumps(seen[0][0].tolist()), flush=True)
"""


def mlx_lm(python: str) -> Program:
    """mlx-lm's samplers, on MLX's processor backend, in the environment of `python`."""
    logits, tokens = drawn_logits()
    with answering([python, "-c", MLX]) as ask:

        def drawn(text: str) -> torch.Tensor:
            return torch.tensor(ask([json.loads(text), logits.tolist(), tokens]))

        results = measured("mlx-lm", drawn, logits, tokens)
    told = [python, "-c", "from importlib.metadata import version; print(version('mlx-lm'))"]
    return Program(
        subprocess.run(told, text=True, capture_output=True, check=True).stdout.strip(), results
    )
