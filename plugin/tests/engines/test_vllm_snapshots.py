"""The snapshot of a preempted request comes back to it, and to no other that is similar."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.v1.sample.logits_processor import BatchUpdate

import temperament
from temperament.batch.states import Snapshot
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.snapshots import MAX_SNAPSHOTS, Snapshots
from temperament.engines.vllm.v1 import V1Batch
from tests.engines.runners import (
    NOTHING,
    SLOTS,
    VOCABULARY,
    Row,
    V2Runner,
    engine_config,
    sampling_params,
)

MIROSTAT = {"mirostat": 2, "mirostat_tau": 2.0, "mirostat_eta": 0.5}
STEPS, AWAY = 12, 5
# Of one length, and equal but for one token.
PROMPTS = [[1, 2, 3], [1, 2, 4], [5, 2, 3]]


def params() -> Any:
    """The parameters of a request; all requests have the same chain and seed."""
    return sampling_params(MIROSTAT, seed=7)


class V1:
    """Requests in the rows of a V1 runner."""

    def __init__(self) -> None:
        config = engine_config(scheduler_config=SimpleNamespace(max_num_seqs=SLOTS))
        self.batch = V1Batch(config, torch.device("cpu"), Meter())

    def join(self, rows: list[int], params: list[Any], outputs: list[list[int]]) -> None:
        """Request i takes row rows[i]."""
        added = sorted(zip(rows, params, PROMPTS, outputs, strict=True), key=lambda one: one[0])
        self.batch.update(BatchUpdate(batch_size=len(rows), removed=[], added=added, moved=[]))

    def leave(self, rows: list[int]) -> None:
        """All requests are preempted."""
        self.batch.update(BatchUpdate(batch_size=0, removed=rows, added=[], moved=[]))

    def step(self, rows: list[int], logits: torch.Tensor, outputs: list[list[int]]) -> torch.Tensor:
        """Returns [requests, vocab] logits, in the order of the requests."""
        del outputs  # the runner's own lists
        order = torch.tensor(rows).argsort()
        done = self.batch.apply(logits[order].clone())
        return done[torch.tensor(rows)]


class V2:
    """Requests in the slots of a V2 runner."""

    def __init__(self) -> None:
        self.runner = V2Runner(drafts=0)

    def join(self, rows: list[int], params: list[Any], outputs: list[list[int]]) -> None:
        """Request i takes slot rows[i]; tokens are written when all have joined, as vLLM does."""
        runner = self.runner
        for i, slot in enumerate(rows):
            runner.prompts[slot] = len(PROMPTS[i])
            runner.filled[slot] = len(PROMPTS[i]) + len(outputs[i])
            runner.batch.add(slot, params[i])
        self._write(rows, outputs)

    def leave(self, rows: list[int]) -> None:
        """V2 doesn't report preemptions."""

    def step(self, rows: list[int], logits: torch.Tensor, outputs: list[list[int]]) -> torch.Tensor:
        """Returns [requests, vocab] logits, in the order of the requests."""
        self._write(rows, outputs)
        batch_rows = [Row(slot, {}, PROMPTS[i], outputs[i], []) for i, slot in enumerate(rows)]
        return self.runner.step(batch_rows, logits.clone())

    def _write(self, rows: list[int], outputs: list[list[int]]) -> None:
        for i, slot in enumerate(rows):
            tokens = torch.tensor([*PROMPTS[i], *outputs[i]], dtype=torch.int32)
            self.runner.tokens[slot, : len(tokens)] = tokens


@pytest.mark.parametrize("shared", [False, True], ids=["parameters each", "one n > 1 request"])
@pytest.mark.parametrize("runner", [V1, V2])
def test_requests_that_are_alike_keep_their_own(runner: type[V1 | V2], shared: bool) -> None:
    """Requests with one chain, seed and length go on as if they had never been preempted.

    They come back to other rows. Their parameters are new objects, as in a worker of another
    process, or one shared object, as for the samples of one request.
    """
    torch.manual_seed(0)
    engine = runner()
    outputs: list[list[int]] = [[], [], []]
    runs = [temperament.Run(MIROSTAT, prompt_ids=[prompt], catalogue=NOTHING) for prompt in PROMPTS]
    rows, one = [0, 1, 2], params()
    engine.join(rows, [one if shared else params() for _ in PROMPTS], outputs)
    for step in range(STEPS):
        if step == AWAY:
            engine.leave(rows)
            rows = [2, 0, 1] if runner is V1 else [5, 3, 4]
            outputs = [[*output] for output in outputs]
            engine.join(rows, [one if shared else params() for _ in PROMPTS], outputs)
        logits = torch.randn(3, VOCABULARY) * 3
        done = engine.step(rows, logits, outputs)
        for i, run in enumerate(runs):
            expected = run.run(logits[i : i + 1])[0]

            assert torch.equal(done[i].view(torch.int32), expected.view(torch.int32)), (step, i)
            token = int(done[i].argmax())
            outputs[i].append(token)
            run.accept(torch.tensor([token]))


def test_the_oldest_is_forgotten() -> None:
    """Only the latest snapshots are kept."""
    snapshots = Snapshots()
    saved: Snapshot = {"mirostat": (torch.zeros(1),)}
    for number in range(MAX_SNAPSHOTS + 1):
        snapshots.put(params(), saved, (1, torch.tensor([number])))

    assert snapshots.take(params(), (1, torch.tensor([0]))) is None
    assert snapshots.take(params(), (1, torch.tensor([1]))) is saved
    assert snapshots.take(params(), (1, torch.tensor([1]))) is None


def test_a_placeholder_is_any_token() -> None:
    """A -1, which V1's async scheduling has for a token that isn't known yet, fits any token."""
    snapshots = Snapshots()
    saved: Snapshot = {"mirostat": (torch.zeros(1),)}
    snapshots.put(params(), saved, (1, torch.tensor([4, 5, -1])))

    assert snapshots.take(params(), (1, torch.tensor([4, 6, 7]))) is None
    assert snapshots.take(params(), (2, torch.tensor([4, 5, 7]))) is None
    assert snapshots.take(params(), (1, torch.tensor([4, 5, 7]))) is saved
