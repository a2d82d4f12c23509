"""Rows in modes: on the device as on the host, each row as if it were alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from temperament import Run, process
from temperament.batch.request import request_of
from temperament.batch.row_modes import Modes
from temperament.batch.rows import Rows
from temperament.batch.run import execute_expanded
from temperament.plan.automata import cache
from temperament.presets import Preset, as_preset
from tests import rows
from tests.batch.rows_in_modes import PLAIN, SLOTS, batch_of, read_tokens, refuse_drafts
from tests.devices import on_meta
from tests.examples import examples
from tests.plan.switches import NOTHING


@pytest.fixture(scope="module", autouse=True)
def _nothing_on_disk() -> Iterator[None]:
    """Keeps the tables of random presets off the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "load", lambda _: None)
        patch.setattr(cache, "store", lambda *_: None)
        yield


@pytest.mark.parametrize("branching", [True, False], ids=["cpu", "masked"])
@given(seed=st.integers(0, 2**32))
@examples(13)
def test_rows_are_in_the_modes_that_the_host_finds(branching: bool, seed: int) -> None:
    """Each row of a mixed batch runs the mode that the host finds, step by step, bit for bit.

    Requests join with tokens that they had.
    """
    read_tokens(seed, branching=branching)


@given(seed=st.integers(0, 2**32))
@examples(13)
def test_a_draft_that_is_refused_switches_nothing(seed: int) -> None:
    """Drafts switch the modes of their own rows, and only accepted ones those of later steps."""
    refuse_drafts(seed)


@pytest.mark.parametrize("on", [{"tokens": 2}, {"repeat": {"span": 1, "times": 2}}], ids=str)
def test_rules_that_count_need_no_vocabulary(on: dict[str, object]) -> None:
    """Rules on counts and repetitions work without the tokens' bytes."""
    fields = {
        "modes": {"one": {"temperature": 1.0}, "two": {"temperature": 2.0}},
        "switch": [{"from": "one", "on": on, "to": "two"}],
    }
    preset = as_preset(fields, NOTHING)
    done = process(torch.ones(1, 4), preset, output_ids=[[1, 1]], catalogue=NOTHING)

    assert [[0.5] * 4] == done.tolist()
    batch = Rows(1)
    batch.write(0, request_of(preset), [0], [1])
    batch.log.append(torch.tensor([1]), np.array([0]))

    assert [[0.5] * 4] == batch.run(torch.ones(1, 4), np.array([0])).tolist()


def entropic(above: bool = True) -> Preset:
    """Returns a preset that is hot after two steps of high (or low) entropy, for three tokens."""
    on = {"above": 2.0, "for": 2} if above else {"below": 0.5, "for": 2}
    fields = {
        "modes": {"calm": {"temperature": 0.5}, "hot": {"temperature": 2.0}},
        "switch": [
            {"from": "calm", "on": {"entropy": on}, "to": "hot"},
            {"from": "hot", "on": {"tokens": 3}, "to": "back"},
        ],
    }
    return as_preset(fields, NOTHING)


FLAT, STEEP = torch.zeros(1, 50), torch.cat([torch.full((1, 1), 20.0), torch.zeros(1, 49)], 1)


class TestEntropy:
    """Modes that depend on more than the tokens."""

    @pytest.mark.parametrize("above", [True, False])
    def test_after_so_many_steps(self, above: bool) -> None:
        """The step whose entropy is the last of them is drawn in the new mode already."""
        run = Run(entropic(above), rows=1, catalogue=NOTHING)
        hit, miss = (FLAT, STEEP) if above else (STEEP, FLAT)
        found = []
        for x in (hit, miss, hit, hit, hit, hit, hit, hit):
            run.run(x)
            assert run._rows.drawn_in is not None
            found.append(run._rows.drawn_in.tolist()[0])  # the mode shows nowhere else
            run.accept([1])

        assert [0, 0, 0, 1, 1, 1, 0, 1] == found

    def test_a_step_counts_once(self) -> None:
        """A step that is repeated counts once for its entropy."""
        run = Run(entropic(), rows=1)
        for _ in range(5):
            run.run(FLAT)
            assert run._rows.drawn_in is not None
            assert [0] == run._rows.drawn_in.tolist()

    def test_what_is_saved_comes_back(self) -> None:
        """A preempted request goes on in its mode, though the tokens don't determine it."""
        batch = Rows(2)
        slots = np.array([0])
        batch.write(0, request_of(entropic()), [1], [])
        for _ in range(2):
            batch.run(FLAT.clone(), slots)
            batch.log.append(torch.tensor([1]), slots)
        saved = batch.save(0)
        batch.clear(0)
        batch.write(1, request_of(entropic()), [1], [1, 1])
        batch.restore(1, saved)
        done = batch.run(STEEP.clone(), np.array([1]))

        assert 10.0 == float(done[0, 0])

    def test_nobody_else_has_anything_to_save(self) -> None:
        """A request whose tokens determine the mode has nothing to save."""
        batch = Rows(1)
        fields = {"modes": {"a": {}, "b": {}}, "switch": [{"on": {"tokens": 1}, "to": "b"}]}
        batch.write(0, request_of(as_preset(fields, NOTHING)))

        assert {} == batch.save(0)


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_schedules(curve: str) -> None:
    """A schedule gives the number at each position in the mode, and starts anew in each entry."""
    ramp = {"from": 2.0, "to": 0.5, "over": 4, "curve": curve}
    fields = {
        "modes": {"a": {"temperature": ramp}, "b": {"temperature": 1.0}},
        "switch": [{"from": "a", "on": {"token": 7}, "to": "b"},
                   {"from": "b", "on": {"tokens": 1}, "to": "back"}],
    }  # fmt: skip
    run = Run(as_preset(fields, NOTHING), rows=1)
    x, found = torch.tensor([[3.0, *[-1.0] * 7]]), []
    for token in (1, 1, 1, 1, 1, 7, 1, 1):
        found.append(float(3.0 / run.run(x)[0, 0]))
        run.accept([token])
    shares = [0, 0.25, 0.5, 0.75, 1]
    if curve == "cosine":
        shares = [(1 - math.cos(math.pi * share)) / 2 for share in shares]
    expected = [2 - 1.5 * share for share in shares]

    assert pytest.approx([*expected, expected[-1], 1.0, expected[0]], rel=1e-6) == found


def test_a_schedule_without_modes() -> None:
    """A scheduled whole number is rounded at each position, and a neighbour stays as it is."""
    ramp = {"top_k": {"from": 1, "to": 4, "over": 2}}
    run = Run([ramp, {"top_k": 2}], rows=2)
    x, kept = torch.randn(2, 9), []
    for _ in range(4):
        kept.append((run.run(x) > -math.inf).sum(1).tolist())
        run.accept([1, 1])

    assert [[1, 2], [2, 2], [4, 2], [4, 2]] == kept


@pytest.mark.parametrize("over", [1, 3, 1000])
def test_a_row_on_a_ramp_does_not_depend_on_others(over: int) -> None:
    """A scheduled row has the same bits at every position in every batch."""
    fields = {"temperature": {"from": 1.7, "to": 0.3, "over": over, "curve": "cosine"}}
    output = [[1] * length for length in range(40)]
    x = torch.randn(40, 33)
    together = process(x, fields, output_ids=output, catalogue=NOTHING)
    for row in range(40):
        single = process(x[row : row + 1], fields, output_ids=[output[row]], catalogue=NOTHING)
        assert rows.same_bits(together[row : row + 1], single)


def test_nothing_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU, reading modes and running a batch with modes reads no data back."""
    random = Random(5)
    vocabulary, presets, batch = batch_of(random)
    presets = [entropic() if preset is PLAIN else preset for preset in presets]
    calls: list[Any] = []
    for slot, preset in enumerate(presets):
        batch.write(slot, request_of(preset), [0], [1, 2, 3])
    advance = Modes.advance

    def recorded(modes: Modes, *args: Any, **kwargs: Any) -> Any:
        calls.append((modes, args, kwargs))
        return advance(modes, *args, **kwargs)

    monkeypatch.setattr(Modes, "advance", recorded)
    monkeypatch.setattr("temperament.batch.rows.branches", lambda _: False)
    expanded: list[Any] = []

    def record(*args: Any) -> Any:
        expanded.extend(args)
        return args[0]

    monkeypatch.setattr("temperament.batch.rows.execute_expanded", record)
    for slot in range(SLOTS):
        batch.log.append(torch.tensor([2]), np.array([slot]))
    batch.run(torch.randn(SLOTS, len(vocabulary)), np.arange(SLOTS))
    (modes, args, kwargs) = calls[0]
    tables = modes._automata.tables
    kept = modes._packed
    monkeypatch.setattr(modes, "_packed", kept.to("meta"))
    monkeypatch.setattr(modes._automata, "_tables", on_meta(tables))
    history, slots, new = args
    options = {name: on_meta(value) for name, value in kwargs.items()}
    drawn = advance(modes, on_meta(history), on_meta(slots), new, **options)
    done = execute_expanded(*(on_meta(argument) for argument in expanded))

    assert 1 == new
    assert drawn.mode.device.type == done.device.type == "meta"
