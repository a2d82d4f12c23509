"""Random presets in one batch of `vllm.LLM`; each row that was captured is run alone once more.

    python -m integration_tests.harness.captured v1|v2 MODEL REQUESTS SEED

Runs in a process of its own, with the engine inside and a KV cache that is too small. A row alone
has a place of its own and nobody beside it, and its result must be the same bit for bit. Prints a
report as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from integration_tests.harness import mixed_batch
from integration_tests.harness.mixed_batch import Recorder
from integration_tests.harness.models import ROOT
from integration_tests.harness.random_presets import Vocabulary, presets
from integration_tests.harness.server import Runner, environment

JOINING = 3  # requests that join at a step


@dataclass
class Report:
    """What was captured and what came of it."""

    presets: int
    requests: int
    steps: int  # of the engine
    rows: int  # that were run alone
    changed: int  # rows in which we changed something
    differing: list[str]
    preemptions: int


def run(runner: Runner, model: Path, requests: int, seed: int) -> Report:
    """The report of a process of its own."""
    env = environment(runner) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    words = [runner, str(model), str(requests), str(seed)]
    command = [sys.executable, "-m", "integration_tests.harness.captured", *words]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=1500, check=False, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return Report(**json.loads(done.stdout.splitlines()[-1]))


def main(runner: Runner, model: str, requests: int, seed: int) -> None:
    """Generates, compares, prints."""
    from transformers import AutoTokenizer
    from vllm import LLM, TokensPrompt

    import temperament

    ids = AutoTokenizer.from_pretrained(model)(Path(mixed_batch.__file__).read_text("utf-8"))[
        "input_ids"
    ]
    random = Random(seed)
    recorder = Recorder()
    with recorder.listening():
        llm = LLM(model, **mixed_batch.ENGINE)
        engine = llm.llm_engine
        size = engine.vllm_config.model_config.get_vocab_size()
        made = presets(seed, requests, Vocabulary(size))
        waiting: deque[tuple[str, list[int], Any]] = deque()
        for name, words in made.items():
            start = random.randrange(len(ids) - 60)
            params = temperament.vllm.sampling_params(
                words,
                plan=random.choice(["auto", "residual"]),
                max_tokens=random.randint(2, 30),
                ignore_eos=True,
                extra_args={"case": name},
            )
            waiting.append((name, ids[start : start + random.randint(3, 50)], params))
        finished: dict[str, tuple[list[int], list[int]]] = {}
        while waiting or engine.has_unfinished_requests():
            for _ in range(min(JOINING, len(waiting))):
                key, prompt, params = waiting.popleft()
                engine.add_request(key, TokensPrompt(prompt_token_ids=prompt), params)
            for output in engine.step():
                if output.finished:
                    own = list(output.prompt_token_ids), list(output.outputs[0].token_ids)
                    finished[output.request_id] = own
        preemptions = sum(
            int(getattr(metric, "value", 0))
            for metric in llm.get_metrics()
            if "preemptions" in metric.name
        )
    rows, changed, differing = compare(runner, recorder, finished, engine.vllm_config)
    steps = len(recorder.records)
    report = Report(len(made), len(finished), steps, rows, changed, differing, preemptions)
    print(json.dumps(asdict(report)))


def compare(
    runner: Runner,
    recorder: Recorder,
    finished: dict[str, tuple[list[int], list[int]]],
    vllm_config: Any,
) -> tuple[int, int, list[str]]:
    """(rows that were run alone, rows that we changed, those that came out differently)."""
    import numpy as np
    import torch

    from temperament.batch.rows import Rows
    from temperament.engines.vllm.requests import request_of
    from temperament.engines.vllm.tokenizer import token_bytes

    captured: dict[str, dict[int, tuple[Any, Any]]] = {}  # request -> output tokens -> row
    for whose, before, after in recorder.records:
        for row, (key, tokens) in enumerate(whose):
            length = tokens if runner == "v1" else tokens - len(finished[key][0])
            if length >= 0:  # else a part of the prompt: what is drawn there isn't used
                captured.setdefault(key, {})[length] = before[row : row + 1], after[row]
    count, changed, differing = 0, 0, []
    slot = np.array([0])
    for key, known in captured.items():
        prompt, output = finished[key]
        alone = Rows(1, vocabulary=lambda: token_bytes(vllm_config))
        alone.write(0, request_of(recorder.params[key]), prompt)
        for length, token in enumerate(output):
            given, got = known[length]
            single = alone.run(given.clone(), slot)[0]
            count += 1
            changed += not torch.equal(given[0], got)
            if not torch.equal(single.view(torch.int32), got.view(torch.int32)):
                differing.append(f"{key} after {length} of {len(output)}")
            if alone.follows(0):
                alone.log.append(torch.tensor([token]), slot)
    return count, changed, differing


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))  # type: ignore[arg-type]
