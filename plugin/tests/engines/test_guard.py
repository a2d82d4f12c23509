"""An internal error costs one request its preset, and no other request anything.

The tests stand in for vLLM's runners, and put errors into stages and rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from temperament.batch.rows import Rows
from temperament.engines.vllm import v1, v2
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.v1 import V1Batch
from temperament.ops import OPS
from temperament.plan import encode
from temperament.plan.wire import KEY
from temperament.presets.chain import Chain
from temperament.stages import STAGES, Stage
from tests import rows
from tests.engines.runners import Row, V2Runner, engine_config

VOCABULARY = 40
# The other requests: one with a state, one that runs on candidates, one that needs its tokens.
OTHERS: list[dict[str, Any]] = [
    {"mirostat": 2, "mirostat_tau": 3.0},
    {"top_k": 7, "min_p": 0.05, "temperature": 1.5},
    {"frequency_penalty": 0.7, "typical_p": 0.9},
]


class V1:
    """Requests in the rows of a V1 runner."""

    def __init__(self, chains: list[dict[str, Any]]) -> None:
        config = engine_config(scheduler_config=SimpleNamespace(max_num_seqs=8))
        self.meter = Meter()
        self.batch = V1Batch(config, torch.device("cpu"), self.meter)
        self.outputs: list[list[int]] = [[2, 3] for _ in chains]
        self.batch.update(
            BatchUpdate(
                batch_size=len(chains),
                removed=[],
                added=[
                    (row, params(chain), [1, 2], self.outputs[row])
                    for row, chain in enumerate(chains)
                ],
                moved=[],
            )
        )

    def step(self, logits: Tensor) -> Tensor:
        """Runs a step, after which each request has drawn token 5."""
        done = self.batch.apply(logits.clone())
        for output in self.outputs:
            output.append(5)
        return done


class V2:
    """Requests in slots of a V2 runner, with draft tokens or without."""

    def __init__(self, chains: list[dict[str, Any]], drafts: int = 0) -> None:
        self.runner = V2Runner(drafts)
        self.meter = self.runner.meter
        self.batch = self.runner.batch
        self.requests = [
            Row(slot, {**chain}, [1, 2], [2, 3], [4] * drafts) for slot, chain in enumerate(chains)
        ]
        for request in self.requests:
            self.runner.tokens[request.slot, :4] = torch.tensor([1, 2, 2, 3], dtype=torch.int32)
            self.runner.prompts[request.slot] = 2
            self.runner.filled[request.slot] = 4
            self.batch.add(request.slot, params(request.chain))

    def step(self, logits: Tensor) -> Tensor:
        """Runs a step; a request's draft rows have the same logits."""
        drafts = len(self.requests[0].drafts)
        done = self.runner.step(self.requests, logits.repeat_interleave(drafts + 1, 0))
        return done[:: drafts + 1]


Engine = Callable[[list[dict[str, Any]]], V1 | V2]
ENGINES: dict[str, Engine] = {"v1": V1, "v2": V2, "v2-drafts": lambda chains: V2(chains, 2)}
every_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


def params(chain: dict[str, Any]) -> Any:
    """A request's parameters."""
    text = encode(Chain.of(chain), f"preset-{next(iter(chain), 'none')}@1", 7)
    return SimpleNamespace(
        extra_args={KEY: text} if chain else None,
        seed=None,
        max_tokens=30,
        all_stop_token_ids={9},
    )


@pytest.fixture(autouse=True)
def _vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the runners a small vocabulary."""
    for module in (v1, v2):
        monkeypatch.setattr(module, "token_bytes", lambda _config: rows.token_bytes(VOCABULARY))


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[str]]:
    """Returns the logged lines."""
    monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]


def broken(*_arguments: object, **_others: object) -> Tensor:
    """An op that writes into the logits and then raises."""
    logits = _arguments[0]
    assert isinstance(logits, Tensor)
    logits.fill_(torch.nan)
    raise ZeroDivisionError("put in by the test")


def values_of(stage: Stage) -> dict[str, Any]:
    """Values with which a stage changes logits."""
    return rows.values(stage, Random(stage.name), VOCABULARY)


@every_engine
@every_stage
def test_an_error_in_a_stage_costs_its_request_its_preset_alone(
    stage: Stage, engine: Engine, monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    """The request's row stays as the model's; the others have the same bits as without it."""
    others = [chain for chain in OTHERS if stage.name not in chain]
    logits = torch.randn(len(others) + 1, VOCABULARY) * 3
    chains = [*others[:1], values_of(stage), *others[1:]]
    clean = engine([*others[:1], {}, *others[1:]])
    expected = [clean.step(logits), clean.step(logits)]
    monkeypatch.setitem(OPS, stage.name, broken)

    running = engine(chains)
    steps = [running.step(logits), running.step(logits)]

    for done, expected_step in zip(steps, expected, strict=True):
        assert rows.same_bits(done[1], logits[1])
        assert rows.same_bits(done, expected_step)
    assert {stage.name: 1} == running.meter.fallbacks
    [line] = log()
    assert f"preset-{next(iter(chains[1]))}@1 goes on without" in line
    assert "ZeroDivisionError: put in by the test" in line
    assert line.endswith(f"in {stage.name}")


@every_engine
def test_the_slot_serves_its_next_request(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request in the slot has its preset."""
    running = engine([{"temperature": 0.5, "top_k": 3}])
    logits = torch.randn(1, VOCABULARY)
    with monkeypatch.context() as patched:
        patched.setitem(OPS, "top_k", broken)
        assert rows.same_bits(running.step(logits), logits)
    if isinstance(running, V1):
        update = BatchUpdate(1, [], [(0, params({"temperature": 0.5}), [1, 2], [2, 3])], [])
        running.batch.update(update)
    else:
        running.batch.add(0, params({"temperature": 0.5}))

    assert rows.same_bits(running.step(logits), logits / 0.5)


@every_engine
def test_an_error_of_the_batch_alone_costs_nobody_anything(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    """If a step raises and no row alone does, all rows get their usual logits."""
    chains = [{"min_p": 0.1}, {"min_p": 0.3}]
    logits = torch.randn(2, VOCABULARY) * 3
    expected = engine(chains).step(logits)
    original = OPS["min_p"]

    def breaks_in_company(logits: Tensor, **arguments: Any) -> Tensor:
        if len(logits) > running_rows:
            raise RuntimeError("too many rows")
        return original(logits, **arguments)

    running = engine(chains)
    running_rows = 3 if isinstance(running, V2) and running.requests[0].drafts else 1
    monkeypatch.setitem(OPS, "min_p", breaks_in_company)

    assert rows.same_bits(running.step(logits), expected)
    assert {"min_p": 1} == running.meter.fallbacks
    assert "no request goes on without" in log()[0]


@every_engine
@pytest.mark.parametrize("verb", ["write", "read", "clear", "save", "restore", "swap", "follows"])
def test_errors_while_requests_come_and_go(
    engine: Engine, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step raises, whatever method of the rows does, however often."""
    running = engine([*OTHERS, {"temperature": 2.0}])
    logits = torch.randn(4, VOCABULARY)
    running.step(logits)

    def fails(*_arguments: object, **_others: object) -> None:
        raise KeyError(verb)

    with monkeypatch.context() as patched:
        patched.setattr(Rows, verb, fails)
        for _ in range(2):
            come_and_go(running)
            assert bool(running.step(logits).isfinite().any(-1).all())
    come_and_go(running)
    running.step(logits)


def come_and_go(running: V1 | V2) -> None:
    """All requests leave, others join, and some move."""
    if isinstance(running, V2):
        for request in running.requests:
            running.batch.add(request.slot, params(request.chain))
        return
    added = [(row, params(OTHERS[row % 3]), [1], running.outputs[row]) for row in range(4)]
    for output in running.outputs:
        output[:] = [2, 3]
    moved = [(0, 3, MoveDirectionality.SWAP), (1, 2, MoveDirectionality.UNIDIRECTIONAL)]
    running.batch.update(BatchUpdate(4, [], added, moved))
    running.batch.update(BatchUpdate(4, [], [added[1]], []))


@pytest.mark.parametrize("engine", [ENGINES["v2"], ENGINES["v2-drafts"]], ids=["v2", "drafts"])
def test_a_table_that_cannot_be_brought_to_the_device_neutralises_all(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    """All requests go on without presets; new ones have theirs again."""
    running = engine([{"temperature": 0.5}])
    logits = torch.randn(1, VOCABULARY)
    with monkeypatch.context() as patched:
        patched.setattr(type(running.batch.rows.table), "flush", broken_flush)
        assert rows.same_bits(running.step(logits), logits)
    assert "every request goes on without" in log()[0]
    assert isinstance(running, V2)
    running.batch.add(0, params({"temperature": 0.5}))

    assert rows.same_bits(running.step(logits), logits / 0.5)


def broken_flush(_table: object) -> None:
    """Raises instead of copying the table to the device."""
    raise RuntimeError("no memory")
