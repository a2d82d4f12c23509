"""Rows in modes: on the device as on the host, each row as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from temperament import process
from temperament.batch.process import request_of
from temperament.batch.rows import Rows
from temperament.ops.inputs import History
from temperament.plan import cache
from temperament.plan.follow import Follower
from temperament.plan.machine import Switching, machine
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset, as_preset
from tests import rows
from tests.ops.test_every_stage import without_branches
from tests.plan.switches import NOTHING, some_preset, some_vocabulary


@pytest.fixture(scope="module", autouse=True)
def _nothing_on_disk() -> Iterator[None]:
    """Random tables are of no use to anybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "load", lambda _: None)
        patch.setattr(cache, "store", lambda *_: None)
        yield


SLOTS = 5
PLAIN = rows.preset({"temperature": 0.7, "top_k": 5})


def follower(preset: Preset, vocabulary: TokenBytes, output: list[int]) -> Follower:
    """The text so far on the host."""
    switching = Switching.of(preset)
    assert switching is not None
    text = Follower(machine(switching, vocabulary))
    text.read(output)
    return text


def alone(preset: Preset, vocabulary: TokenBytes, output: list[int], x: Tensor) -> Tensor:
    """What a row gives in the mode that the host finds."""
    if not preset.modes:
        return process(x, preset, output_ids=[output], catalogue=NOTHING)
    chain = list(preset.chains.values())[follower(preset, vocabulary, output).drawn_in]
    return process(x, Preset("mode", chain.values), catalogue=NOTHING)


def batch_of(random: Random) -> tuple[TokenBytes, list[Preset], Rows]:
    """A vocabulary, a preset for each slot (one of them without modes), the rows."""
    vocabulary = some_vocabulary(random)
    presets = [some_preset(random, vocabulary) for _ in range(SLOTS - 1)]
    presets.insert(random.randrange(SLOTS), PLAIN)
    return vocabulary, presets, Rows(SLOTS, vocabulary=lambda: vocabulary)


@pytest.mark.parametrize("branching", [True, False], ids=["cpu", "masked"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_rows_are_in_the_modes_that_the_host_finds(branching: bool, seed: int) -> None:
    """Step by step in a mixed batch, bit for bit; requests join with tokens that they had."""
    random = Random(seed)
    vocabulary, presets, batch = batch_of(random)
    size = len(vocabulary)
    outputs = [random.choices(range(size), k=random.choice([0, 0, 7])) for _ in presets]
    with pytest.MonkeyPatch.context() as patch:
        if not branching:
            without_branches(patch)
            patch.setattr("temperament.batch.rows.branches", lambda _: False)
            patch.setattr("temperament.batch.modes.branches", lambda _: False)
        for slot, (preset, output) in enumerate(zip(presets, outputs, strict=True)):
            batch.write(slot, request_of(preset), [0], output)
        for step in range(12):
            slots = np.array(random.sample(range(SLOTS), random.randint(1, SLOTS)))
            x = torch.randn(len(slots), size, generator=torch.Generator().manual_seed(step))
            done = batch.run(x.clone(), slots)
            for row, slot in enumerate(slots):
                wanted = alone(presets[slot], vocabulary, outputs[slot], x[row : row + 1])
                assert rows.same_bits(done[row : row + 1], wanted)
            for slot, output in enumerate(outputs):
                token = random.choice([random.randrange(size), *output[-2:]])
                output.append(token)
                batch.log.append(torch.tensor([token]), np.array([slot]))
            if random.random() < 0.3:
                one, other = random.sample(range(SLOTS), 2)
                batch.swap(one, other)
                for table in (presets, outputs):
                    table[one], table[other] = table[other], table[one]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_draft_that_is_refused_switches_nothing(seed: int) -> None:
    """Several rows of a request, each with its own drafts; then only some of them are committed."""
    random = Random(seed)
    vocabulary, presets, batch = batch_of(random)
    size, most = len(vocabulary), 3
    outputs: list[list[int]] = [[] for _ in presets]
    for slot, preset in enumerate(presets):
        batch.write(slot, request_of(preset), [0], [])
    for step in range(8):
        slots = random.sample(range(SLOTS), random.randint(1, SLOTS))
        drafts = {slot: random.choices(range(size), k=random.randint(0, most)) for slot in slots}
        layout = [(slot, count) for slot in slots for count in range(len(drafts[slot]) + 1)]
        texts = [[0, *outputs[slot], *drafts[slot][:count]] for slot, count in layout]
        longest = max(map(len, texts))
        history = History(
            torch.tensor([text + [0] * (longest - len(text)) for text in texts]),
            torch.zeros(len(texts), dtype=torch.int64),
            torch.ones(len(texts), dtype=torch.int64),
            torch.tensor(list(map(len, texts))),
        )
        x = torch.randn(len(texts), size, generator=torch.Generator().manual_seed(step))
        done = batch.run_expanded(
            x.clone(),
            np.array(slots),
            torch.tensor([slot for slot, _ in layout]),
            history,
            first=torch.tensor([count == 0 for _, count in layout]),
            new=2 * most + 1,
        )
        for row, (slot, _) in enumerate(layout):
            wanted = alone(presets[slot], vocabulary, texts[row][1:], x[row : row + 1])
            assert rows.same_bits(done[row : row + 1], wanted)
        for slot in slots:
            kept = random.randint(0, len(drafts[slot]))
            outputs[slot] += [*drafts[slot][:kept], random.randrange(size)]


@pytest.mark.parametrize("on", [{"tokens": 2}, {"repeat": {"span": 1, "times": 2}}], ids=str)
def test_rules_that_count_need_no_vocabulary(on: dict[str, object]) -> None:
    """No token is looked up where no rule looks at one."""
    words = {
        "modes": {"one": {"temperature": 1.0}, "two": {"temperature": 2.0}},
        "switch": [{"from": "one", "on": on, "to": "two"}],
    }
    preset = as_preset(words, NOTHING)
    done = process(torch.ones(1, 4), preset, output_ids=[[1, 1]], catalogue=NOTHING)

    assert done.tolist() == [[0.5] * 4]
    batch = Rows(1)
    batch.write(0, request_of(preset), [0], [1])
    batch.log.append(torch.tensor([1]), np.array([0]))

    assert batch.run(torch.ones(1, 4), np.array([0])).tolist() == [[0.5] * 4]
