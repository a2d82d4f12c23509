"""Random presets in one batch of `vllm.LLM`; each row that was captured runs alone once more.

Runs in the process of `harness/engine.py`, with a KV cache that is too small. A row alone has its
own slot and no neighbour, and its result must be the same bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from integration_tests.harness import engine, mixed_batch
from integration_tests.harness.mixed_batch import Finished, Recorder, Waiting
from integration_tests.harness.offline import preemptions
from integration_tests.harness.random_presets import Vocabulary, presets
from integration_tests.harness.server import Runner


@dataclass
class Report:
    """What was captured, and what the comparison gave."""

    presets: int
    requests: int
    steps: int  # of the engine
    rows: int  # that ran alone
    changed: int  # rows in which the processor changed a logit
    differing: list[str]  # the rows whose two results differ
    preemptions: int


def run(runner: Runner, model: Path, requests: int, seed: int) -> Report:
    """The report of a batch of so many requests."""
    answer = engine.call(
        runner, report, timeout=1500,
        runner=runner, model=str(model), requests=requests, seed=seed,
    )  # fmt: skip
    return Report(**answer)


def report(runner: Runner, model: str, requests: int, seed: int) -> dict[str, Any]:
    """Runs in the engine's process: generates, compares, returns the fields of a `Report`."""
    from vllm import LLM

    import temperament

    ids = mixed_batch.prompt_ids(model)
    random = Random(seed)
    recorder = Recorder()
    with recorder.listening():
        # On a CPU the V1 runner ends at a split prompt of a request with a seed (test_workarounds).
        whole = {"max_num_batched_tokens": 2048, "enable_chunked_prefill": False}
        llm = LLM(model, **mixed_batch.ENGINE | (whole if runner == "v1" else {}))
        vllm_config = llm.llm_engine.vllm_config
        drawn = presets(seed, requests, Vocabulary(vllm_config.model_config.get_vocab_size()))
        waiting: list[Waiting] = []
        for name, preset in drawn.items():
            start = random.randrange(len(ids) - 60)
            params = temperament.vllm.sampling_params(
                preset,
                plan=random.choice(["auto", "residual"]),
                max_tokens=random.randint(2, 30),
                seed=random.randrange(2**31),  # the row alone must draw the same
                ignore_eos=True,
                extra_args={"case": name},
            )
            waiting.append((name, ids[start : start + random.randint(3, 50)], params))
        finished = mixed_batch.drive(llm, waiting)
        rows, changed, differing = compare(runner, recorder, finished, vllm_config)
        found = Report(
            presets=len(drawn),
            requests=len(finished),
            steps=len(recorder.records),
            rows=rows,
            changed=changed,
            differing=differing,
            preemptions=preemptions(llm),
        )
    return asdict(found)


def compare(
    runner: Runner,
    recorder: Recorder,
    finished: Finished,
    vllm_config: Any,
) -> tuple[int, int, list[str]]:
    """(rows that ran alone, rows that the processor changed, the rows whose results differ)."""
    import numpy as np
    import torch

    from temperament.batch.rows import Rows
    from temperament.engines.vllm.requests import request_of
    from temperament.engines.vllm.tokenizer import token_bytes

    captured: dict[str, dict[int, tuple[Any, Any]]] = {}  # request -> output tokens -> row
    for whose, before, after in recorder.records:
        for row, (key, tokens) in enumerate(whose):
            length = tokens if runner == "v1" else tokens - len(finished[key][0])
            if length >= 0:  # else a part of the prompt: no token of it is used
                captured.setdefault(key, {})[length] = before[row : row + 1], after[row]
    count, changed, differing = 0, 0, []
    slot = np.array([0])
    for key, known in captured.items():
        prompt, output = finished[key]
        alone = Rows(1, vocabulary=lambda: token_bytes(vllm_config))
        alone.write(
            0,
            request_of(recorder.params[key], 0, vllm_config.model_config.get_vocab_size()),
            prompt,
        )
        for length, token in enumerate(output):
            before, after = known[length]
            single = alone.run(before.clone(), slot)[0]
            count += 1
            changed += not torch.equal(before[0], after)
            if not torch.equal(single.view(torch.int32), after.view(torch.int32)):
                differing.append(f"{key} after {length} of {len(output)}")
            if alone.follows(0):
                alone.log.append(torch.tensor([token]), slot)
    return count, changed, differing
