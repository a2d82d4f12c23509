"""What happens when an engine starts where the kernels can't run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from temperament.batch import kernel_choice
from temperament.batch.device_chains import DeviceChains
from temperament.batch.kernel_choice import runs_kernels
from temperament.compiled import prepared
from tests.engines.runners import VOCABULARY, Row, V2Runner

CPU = torch.device("cpu")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A compiler that doesn't fit the machine."""

    def fail(chains: DeviceChains, vocabulary: int) -> None:
        raise RuntimeError("no such target")

    monkeypatch.setattr(DeviceChains, "warm_up", fail)
    yield
    kernel_choice._failed.clear()


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
