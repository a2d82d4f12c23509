"""The kernel of modes against the host's reading, as the torch operators are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from torch import Tensor

from temperament.batch import mode_state
from temperament.batch.row_modes import Modes, RowModes
from temperament.kernels import layout
from temperament.ops.history import History
from temperament.plan.automata import cache
from tests.batch.rows_in_modes import read_tokens, refuse_drafts


@pytest.fixture(scope="module", autouse=True)
def _nothing_on_disk() -> Iterator[None]:
    """Keeps the tables of random presets off the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "load", lambda _: None)
        patch.setattr(cache, "store", lambda *_: None)
        yield


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each launch of the kernel had."""
    found: list[int] = []
    by_kernel = Modes._by_kernel

    def counted(modes: Modes, history: History, slots: Tensor, *others: Any) -> RowModes:
        found.append(len(slots))
        return by_kernel(modes, history, slots, *others)

    monkeypatch.setattr(Modes, "_by_kernel", counted)
    return found


@pytest.mark.parametrize("read", [read_tokens, refuse_drafts])
def test_rows_are_in_the_modes_that_the_host_finds(
    read: Callable[..., None], launches: list[int]
) -> None:
    """Random presets, texts and draft tokens, step by step, bit for bit."""
    for seed in range(6):
        read(seed, repeats=False)

    assert len(launches) > 30


def test_the_numbers_of_a_mode_lie_in_one_order() -> None:
    """The kernel reads the numbers that the operators pack."""
    assert tuple(mode_state._NAMES[: mode_state._STACK]) == layout.MODE_NUMBERS


@pytest.mark.parametrize("drafts", [0, 3])
def test_a_step_with_modes_costs_few_launches(drafts: int) -> None:
    """One reads the tokens and finds the modes; the others choose places in the table."""
    pytest.importorskip("vllm")
    from tests.kernels import draft_counts

    counted = draft_counts.step(draft_counts.MODES, drafts)

    assert 1 == counted.names.count("temperament.advance_modes.default")
    assert len(counted.names) <= 12, counted.names
    assert 0 == counted.bytes
