"""The kernel of modes against the host's reading, as the torch operators are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from temperament.batch import mode_state
from temperament.batch.drafts import Drafts
from temperament.batch.mode_state import _NATS
from temperament.batch.row_modes import Modes, RowModes
from temperament.compiled.prepared import SWITCH
from temperament.kernels import layout
from temperament.ops.history import History
from temperament.plan.automata import cache
from temperament.plan.automata.mode_automaton import Switching
from tests.batch.rows_in_modes import SLOTS, batch_of, read_tokens, refuse_drafts


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


@pytest.mark.parametrize("seed", range(12))
def test_the_state_is_that_of_the_operators(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a slot keeps, its rows' modes and how long these have lasted, at every step."""
    random = Random(seed)
    vocabulary, presets, _ = batch_of(random, 3, repeats=False)
    kernel = Modes(SLOTS, "cpu", lambda: vocabulary, drafts=3)
    with monkeypatch.context() as patch:
        patch.setenv(SWITCH, "off")
        operators = Modes(SLOTS, "cpu", lambda: vocabulary, drafts=3)
    for slot, preset in enumerate(presets):
        switching = Switching.of(preset)
        if switching is not None:
            kernel.write(slot, switching)
            operators.write(slot, switching)
    # few tokens, so that some of them switch often
    few = random.sample(range(len(vocabulary)), 6)
    texts: list[list[int]] = [[] for _ in presets]
    for _ in range(15):
        slots = random.sample(range(SLOTS), random.randint(1, SLOTS))
        new = random.randint(1, 3)
        for slot in slots:
            texts[slot] += random.choices(few, k=random.randint(0, new))
        drafts = {slot: random.choices(few, k=random.randint(0, 3)) for slot in slots}
        layout = [(slot, count) for slot in slots for count in range(len(drafts[slot]) + 1)]
        longest = max(len(texts[slot]) + len(drafts[slot]) for slot in slots) + 1
        table = torch.zeros(SLOTS, longest, dtype=torch.int64)
        for slot in slots:
            text = [*texts[slot], *drafts[slot]]
            table[slot, : len(text)] = torch.tensor(text, dtype=torch.int64)
        rows_of = torch.tensor([slot for slot, _ in layout])
        before = torch.tensor([count for _, count in layout], dtype=torch.int32)
        none = torch.zeros(len(layout), dtype=torch.int64)
        ends = torch.tensor([len(texts[slot]) + count for slot, count in layout])
        history = History(table, none, none, ends, text=rows_of)
        found, expected = (
            each.advance(history, rows_of, new, drafts=Drafts(rows_of, before, SLOTS, 3))
            for each in (kernel, operators)
        )

        assert torch.equal(expected.mode, found.mode)
        assert torch.equal(expected.position, found.position)
        assert torch.equal(operators._packed[:SLOTS, :_NATS], kernel._packed[:SLOTS, :_NATS])
    assert int(operators._switched) == int(kernel._switched)


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
