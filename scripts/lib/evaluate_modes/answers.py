"""The questions, and a model's answers to them, kept in a file."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from integration_tests.harness.models import model_path
from integration_tests.harness.server import ON_SHARED_CORES, Server
from scripts.lib.command import ROOT
from tqdm import tqdm

FOLDER = ROOT / "docs" / "modes"

SEEDS = 4

DIVERSE = 50  # prompts whose prose is compared over seeds

TOKENS = {"coding": 128, "open": 256}

AT_ONCE = 48

STATED = {"temperature_scale": "weights"}  # DeepSeek's numbers taken as they stand

# Name of the condition -> (the request's fields, whether its prose is compared over seeds).
CODING: dict[str, tuple[dict[str, Any], bool]] = {
    "code": ({"preset": "code"}, False),
    "chat": ({"preset": "chat"}, True),
    "coding-assistant": ({"preset": "coding-assistant"}, True),
    "chat (1.3)": ({"preset": "chat", **STATED}, False),
    "coding-assistant (1.3)": ({"preset": "coding-assistant", **STATED}, False),
}

OPEN: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "anti-loop": {"preset": "anti-loop"},
    "anti-loop (1.3)": {"preset": "anti-loop", **STATED},
}

Key = tuple[str, str, int, int]  # the set of prompts, the condition, the prompt, the seed


def prompts(name: str) -> list[str]:
    """The lines of a file of prompts."""
    return (FOLDER / f"{name}-prompts.txt").read_text(encoding="utf-8").splitlines()


def questions(count: int | None) -> list[tuple[Key, dict[str, Any], str]]:
    """Every question: its key, the request's fields, the prompt. `count` limits the prompts.

    The questions of the first prompts come first, so that an interrupted run can be measured with a
    smaller `count`.
    """
    found = []
    for number, prompt in enumerate(prompts("coding")[:count]):
        for condition, (fields, diverse) in CODING.items():
            seeds = SEEDS if diverse and number < DIVERSE else 1
            found += [
                (("coding", condition, number, seed), fields, prompt) for seed in range(seeds)
            ]
    for number, prompt in enumerate(prompts("open")[:count]):
        found += [(("open", name, number, 0), fields, prompt) for name, fields in OPEN.items()]
    return sorted(found, key=lambda question: question[0][2])


def ask(server: Server, key: Key, fields: dict[str, Any], prompt: str) -> str:
    """The answer's text."""
    answer = server.client().chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": prompt}],
        max_tokens=TOKENS[key[0]],
        seed=1000 * key[3] + key[2],
        timeout=900,
        extra_body=fields,
    )
    return answer.choices[0].message.content or ""


def known_answers(path: Path) -> dict[Key, str]:
    """The answers of earlier runs."""
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {tuple(row["key"]): row["text"] for row in rows}


def collect(path: Path, count: int | None) -> dict[Key, str]:
    """All answers; those that are missing are asked for."""
    answers = known_answers(path)
    missing = [one for one in questions(count) if one[0] not in answers]
    if not missing:
        return answers
    with ExitStack() as stack:
        args = ["--served-model-name", "smollm2", "--max-model-len", "1024"]
        # bfloat16, vLLM's choice, is several times slower on processors without AMX.
        args += ["--max-num-seqs", str(AT_ONCE), "--dtype", "float32"]
        # All prompts in one step: vLLM 0.32 on a CPU ends when it splits a prompt that has a seed.
        args += ["--max-num-batched-tokens", "16384"]
        print("vllm serve is starting", file=sys.stderr)
        server = stack.enter_context(Server(model_path("smollm2"), "v1", args, env=ON_SHARED_CORES))
        file = stack.enter_context(path.open("a", encoding="utf-8"))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        asked = [
            (key, pool.submit(ask, server, key, fields, text)) for key, fields, text in missing
        ]
        for key, future in tqdm(asked, unit="answer", desc="asking"):
            answers[key] = future.result()
            print(json.dumps({"key": key, "text": answers[key]}), file=file, flush=True)
    return answers
