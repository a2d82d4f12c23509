"""One check of scripts/matrix, in the environment that runs this.

`generate`, `serve` or `serve_v2`. Each makes the tiny model and asks it for a text that Temperament
draws by itself, twice: the same seed must give the same text, and another one another.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from scripts.lib.fetch_model import fetch

os.environ["HF_HUB_OFFLINE"] = "1"

SEEDS = (1, 1, 2)
CHAIN: dict[str, Any] = {
    "temperature": 1.2,
    "top_p": 0.9,
    "dry_multiplier": 0.8,
    "reproducible": True,
}


def model() -> Path:
    """The tiny model, as this environment's Transformers writes it."""
    return fetch("tiny")


def generate() -> list[str]:
    """The texts of `model.generate`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import temperament

    tokenizer = AutoTokenizer.from_pretrained(model())
    llama = AutoModelForCausalLM.from_pretrained(model(), dtype=torch.float32)
    inputs = tokenizer(["Once upon a time"], return_tensors="pt", return_token_type_ids=False)
    texts = []
    for seed in SEEDS:
        preset = {**CHAIN, "seed": seed}
        kwargs = temperament.transformers.generate_kwargs(preset, tokenizer, model=llama)
        done = llama.generate(
            **inputs, **kwargs, max_new_tokens=24, pad_token_id=tokenizer.pad_token_id
        )
        texts.append(tokenizer.decode(done[0]))
    return texts


def serve(runner: Literal["v1", "v2"] = "v1") -> list[str]:
    """The texts of `vllm serve` with a model runner; it also refuses what isn't a preset."""
    from integration_tests.harness.ask import CHAT, ask
    from integration_tests.harness.server import Server

    arguments = ["--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "256"]
    with Server(model(), runner, arguments, timeout=1200) as server:
        answers = [
            ask(server, CHAT, "tiny", preset="creative", max_tokens=24, **CHAIN, seed=seed)
            for seed in SEEDS
        ]
        refused = ask(server, CHAT, "tiny", preset="no-such-preset")
    assert [answer.status for answer in answers] == [200] * len(SEEDS), answers
    assert {str(answer.label).partition("@")[0] for answer in answers} == {"creative"}, answers
    assert refused.status == 400, refused
    return [answer.text for answer in answers]


if __name__ == "__main__":
    checks: dict[str, Callable[[], list[str]]]
    checks = {"generate": generate, "serve": serve, "serve_v2": partial(serve, "v2")}
    first, again, other = checks[sys.argv[1]]()
    assert first == again, (first, again)
    assert first != other, first
    print("ok")
