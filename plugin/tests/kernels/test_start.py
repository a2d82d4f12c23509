"""What happens when an engine starts where the kernels can't run."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from temperament.batch import kernel_choice
from temperament.batch.device_chains import DeviceChains
from temperament.batch.kernel_choice import runs_kernels
from temperament.compiled import prepared
from temperament.engines.vllm import warm_up
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.v1 import V1Batch
from tests.engines.runners import SLOTS, VOCABULARY, Row, V2Runner, engine_config
from tests.kernels import draft_counts
from tests.kernels.counts import on_meta

CPU = torch.device("cpu")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A compiler that doesn't fit the machine."""

    def fail(chains: DeviceChains, vocabulary: int) -> None:
        raise RuntimeError("no such target")

    monkeypatch.setattr(DeviceChains, "warm_up", fail)
    yield
    kernel_choice._failed.clear()


def v1_batch(device: torch.device) -> V1Batch:
    """The rows of a V1 runner on a device."""
    config = engine_config(scheduler_config=SimpleNamespace(max_num_seqs=SLOTS))
    return V1Batch(config, device, Meter())


@pytest.mark.parametrize("runner", ["v1", "v2"])
def test_the_start_says_that_there_is_no_triton(
    runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line in vLLM's log, and presets run as torch operators on the device."""
    said: list[str] = []
    monkeypatch.setattr(kernel_choice, "has_triton", lambda: False)
    monkeypatch.setattr(warm_up.logger, "info", said.append)
    with on_meta():
        if runner == "v1":
            v1_batch(torch.device("meta"))
        else:
            names = draft_counts.step({"top_k": 3}, 0).names
            assert [] == [name for name in names if name.startswith("temperament")]

    assert ["temperament: no Triton kernels here: presets run as torch operators"] == said


def test_the_v1_runner_compiles_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request waits for the compiler, and one that fails doesn't cost requests their presets."""
    started: list[int] = []
    monkeypatch.setattr(DeviceChains, "warm_up", lambda _, vocabulary: started.append(vocabulary))
    v1_batch(CPU)

    assert [VOCABULARY] == started


def test_the_torch_operators_run_instead(failing: None) -> None:
    """The engine starts, and presets act as without kernels."""
    assert runs_kernels(CPU)
    runner = V2Runner(drafts=0)

    assert not runs_kernels(CPU)
    logits = torch.randn(1, VOCABULARY)
    assert runner.add(Row(0, {"top_k": 3}, [1, 2], [3], []))
    drawn = runner.step([Row(0, {"top_k": 3}, [1, 2], [3], [])], logits.clone())

    assert 3 == int((drawn > -torch.inf).sum())


def test_the_kernels_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TEMPERAMENT_KERNELS=off` turns them off on a GPU too."""
    monkeypatch.setenv(prepared.SWITCH, "off")

    assert not runs_kernels(torch.device("cuda"))
    assert not runs_kernels(torch.device("meta"))
