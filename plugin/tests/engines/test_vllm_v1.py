"""Rows of the V1 runner keep their requests through random updates."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

import temperament
from temperament.engines.vllm import v1
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.v1 import V1Batch
from tests.engines.runners import (
    MODES,
    NOTHING,
    PENALTIES,
    SLOTS,
    VOCABULARY,
    engine_config,
    sampling_params,
)

CHAINS: list[dict[str, Any]] = [
    MODES,
    {**MODES, "start": "b"},
    {},
    {"temperature": 0},
    {"order": ["top_k", "top_p", "temperature"], "top_k": 7, "top_p": 0.8, "temperature": 2.5},
    PENALTIES,
    {**PENALTIES, "temperature": 0.6, "min_p": 0.05, "logit_bias": {3: 150, 39: 1.5}},
]


class Runner:
    """A persistent batch like V1's: requests in rows from 0 without a gap."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        config = engine_config(scheduler_config=SimpleNamespace(max_num_seqs=SLOTS))
        self.batch = V1Batch(config, torch.device("cpu"), Meter())
        # row -> (chain, prompt, output, the object that holds its parameters)
        self.rows: list[tuple[dict[str, Any], list[int], list[int], Any]] = []
        self.preempted: list[tuple[dict[str, Any], list[int], list[int], Any]] = []

    def ids(self, low: int, high: int) -> list[int]:
        """Random tokens, of which some are equal."""
        return [int(t) for t in self.random.integers(9, size=self.random.integers(low, high))]

    def update(self) -> None:
        """Requests end or are preempted, others join or come back, and the gaps are closed."""
        removed = sorted(
            (row for row in range(len(self.rows)) if self.random.random() < 0.3), reverse=True
        )
        places: dict[int, Any] = dict(enumerate(self.rows))
        for row in removed:
            gone = places.pop(row)
            if self.random.random() < 0.4:
                self.preempted.append(gone)
        free = [row for row in range(SLOTS) if row not in places]
        added = []
        for row in free[: self.random.integers(0, len(free) + 1)]:
            if self.preempted and self.random.random() < 0.5:
                places[row] = self.preempted.pop(0)
            else:
                places[row] = self.request()
            _, prompt, output, params = places[row]
            added.append((row, params, prompt, output))
        moved = []
        for row in range(len(places)):
            if row not in places:
                last = max(places)
                moved.append((last, row, MoveDirectionality.UNIDIRECTIONAL))
                places[row] = places.pop(last)
        if len(places) > 1 and self.random.random() < 0.5:
            one, other = (int(row) for row in self.random.permutation(len(places))[:2])
            moved.append((one, other, MoveDirectionality.SWAP))
            places[one], places[other] = places[other], places[one]
        # A row that is taken again at once isn't reported as removed.
        taken = {row for row, *_ in added} | {target for _, target, _ in moved}
        removed = [row for row in removed if row not in taken]
        self.rows = [places[row] for row in range(len(places))]
        self.batch.update(
            BatchUpdate(batch_size=len(places), removed=removed, added=added, moved=moved)
        )

    def request(self) -> tuple[dict[str, Any], list[int], list[int], Any]:
        """A new request with a random preset."""
        chain = CHAINS[self.random.integers(len(CHAINS))]
        return chain, self.ids(1, 6), [], sampling_params(chain)

    def check(self) -> None:
        """Asserts that every row has the bits that it has alone; then each request gets tokens."""
        logits = torch.randn(len(self.rows), VOCABULARY) * 3
        done = self.batch.apply(logits.clone())
        for row, (chain, prompt, output, _) in enumerate(self.rows):
            expected = temperament.process(
                logits[row : row + 1],
                chain,
                prompt_ids=[prompt],
                output_ids=[output],
                catalogue=NOTHING,
            )[0]

            assert torch.equal(done[row].view(torch.int32), expected.view(torch.int32)), row
            if self.random.random() < 0.9:  # a part of a prompt draws none
                output.extend(self.ids(1, 2) if self.random.random() < 0.9 else self.ids(2, 4))


@pytest.mark.parametrize("seed", range(8))
def test_rows_keep_their_requests(seed: int) -> None:
    """A request has the same logits as alone while requests join, leave, move and come back."""
    torch.manual_seed(seed)
    runner = Runner(seed)
    for _ in range(20):
        runner.update()
        for _ in range(int(runner.random.integers(0, 3))):
            runner.check()


ENTROPY: dict[str, Any] = {
    "modes": {"calm": {"temperature": 0.5}, "hot": {"temperature": 2}},
    "switch": [
        {"from": "calm", "on": {"entropy": {"above": 2.5, "for": 2}}, "to": "hot"},
        {"from": "hot", "on": {"entropy": {"below": 2.5, "for": 2}}, "to": "back"},
    ],
}


@pytest.mark.parametrize("seed", range(4))
def test_entropy_is_followed_whatever_else_happens(seed: int) -> None:
    """Rules on entropy count a request's steps, whoever joins and whatever is preempted.

    A request that comes back is first run on parts of its text, whose logits don't count.
    """
    torch.manual_seed(seed)
    runner = Runner(seed)
    alone = temperament.Run(ENTROPY, prompt_ids=[[3, 4]], catalogue=NOTHING)

    def joins(row: int, one: tuple[Any, list[int], list[int]], removed: list[int]) -> None:
        size = len(outputs)
        runner.batch.update(
            BatchUpdate(batch_size=size, removed=removed, added=[(row, *one)], moved=[])
        )

    first_request: tuple[Any, list[int], list[int]] = (sampling_params(ENTROPY), [3, 4], [])
    outputs = [first_request[2]]
    joins(0, first_request, [])
    for step in range(40):
        if runner.random.random() < 0.3:  # another one joins, perhaps in another's place
            other: tuple[Any, list[int], list[int]] = (sampling_params(MODES), [5, 6], [])
            outputs[1:] = [other[2]]
            joins(1, other, [])
        elif runner.random.random() < 0.2:  # preempted
            outputs[1:] = []
            joins(0, first_request, [1])
            runner.batch.apply(torch.randn(1, VOCABULARY) * float(runner.random.choice([0.1, 9])))
        scale = 0.3 if step // 5 % 2 else 6.0
        logits = torch.randn(1, VOCABULARY) * scale
        rows = torch.cat([logits, torch.randn(len(outputs) - 1, VOCABULARY)])

        assert torch.equal(runner.batch.apply(rows)[0], alone.run(logits)[0]), step
        for output in outputs:
            output.extend(runner.ids(1, 2))
        alone.accept(torch.tensor(outputs[0][-1:]))


class TestStart:
    """What a runner on a CPU does before its first request."""

    def start(
        self, vocabulary: int, monkeypatch: pytest.MonkeyPatch, *, alone: bool = True
    ) -> None:
        """Starts a batch, in a process of the engine's own or in that of a program."""
        monkeypatch.setattr(v1, "parent_process", lambda: os.getppid() if alone else None)
        config = engine_config(scheduler_config=SimpleNamespace(max_num_seqs=SLOTS))
        monkeypatch.setattr(config.model_config, "get_vocab_size", lambda: vocabulary)
        V1Batch(config, torch.device("cpu"), Meter())

    def test_chains_are_compiled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Chains are compiled once, for vocabularies that are long enough for it.

        Not in a program's process, in which vLLM could start no engine then.
        """
        calls: list[int] = []

        def note() -> bool:
            calls.append(1)
            return True

        monkeypatch.setattr(v1, "prepare", note)
        self.start(4095, monkeypatch)
        self.start(4096, monkeypatch, alone=False)
        self.start(4096, monkeypatch)

        assert [1] == calls

    def test_a_compiler_that_fails(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A compiler that doesn't fit the machine doesn't end the engine, and the log says so."""

        def fail() -> bool:
            raise RuntimeError("no such target")

        monkeypatch.setattr(v1, "prepare", fail)
        monkeypatch.setattr(v1.logger, "propagate", True)
        self.start(4096, monkeypatch)

        assert "no such target" in caplog.text

    def test_a_start_that_compiles_says_so(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The first start on a machine says how long it compiled, later ones say nothing."""
        monkeypatch.setattr(v1, "prepare", lambda: True)
        monkeypatch.setattr(v1.logger, "propagate", True)
        caplog.set_level("INFO")
        self.start(4096, monkeypatch)

        assert "compiled samplers" not in caplog.text
        clock = iter((0.0, 12.4))
        monkeypatch.setattr("temperament.engines.vllm.v1.time.monotonic", lambda: next(clock))
        self.start(4096, monkeypatch)

        assert "compiled samplers in 12 s" in caplog.text
