"""Random requests with modes in random batches, beside what the host finds of each alone."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament import process
from temperament.batch.request import request_of
from temperament.batch.rows import Rows
from temperament.ops.history import History
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset
from tests import rows
from tests.devices import without_branches
from tests.plan.switches import NOTHING, some_preset, some_vocabulary

SLOTS = 5
PLAIN = rows.preset({"temperature": 0.7, "top_k": 5})


def read_by_host(preset: Preset, vocabulary: TokenBytes, output: list[int]) -> Tracer:
    """Returns the output so far, as the host reads it."""
    switching = Switching.of(preset)
    assert switching is not None
    text = Tracer(mode_automaton(switching, vocabulary))
    text.read(output)
    return text


def alone(preset: Preset, vocabulary: TokenBytes, output: list[int], x: Tensor) -> Tensor:
    """Returns the result of a row in the mode that the host finds."""
    if not preset.modes:
        return process(x, preset, output_ids=[output], catalogue=NOTHING)
    chain = list(preset.chains.values())[read_by_host(preset, vocabulary, output).drawn_in]
    return process(x, Preset("mode", chain.values), catalogue=NOTHING)


def batch_of(
    random: Random, drafts: int = 0, *, repeats: bool = True
) -> tuple[TokenBytes, list[Preset], Rows]:
    """Returns a vocabulary, a preset for each slot (one of them without modes), and the rows.

    `repeats` is whether a preset may have a rule on repetitions.
    """
    vocabulary = some_vocabulary(random)
    presets: list[Preset] = []
    while len(presets) < SLOTS - 1:
        preset = some_preset(random, vocabulary)
        switching = Switching.of(preset)
        if repeats or switching is None or not switching.repeats:
            presets.append(preset)
    presets.insert(random.randrange(SLOTS), PLAIN)
    return vocabulary, presets, Rows(SLOTS, vocabulary=lambda: vocabulary, drafts=drafts)


def read_tokens(seed: int, *, branching: bool = True, repeats: bool = True) -> None:
    """Runs requests that join with tokens that they had, step by step; each is as if alone."""
    random = Random(seed)
    vocabulary, presets, batch = batch_of(random, repeats=repeats)
    size = len(vocabulary)
    outputs = [random.choices(range(size), k=random.choice([0, 0, 7])) for _ in presets]
    with pytest.MonkeyPatch.context() as patch:
        if not branching:
            without_branches(patch)
            patch.setattr("temperament.batch.rows.branches", lambda _: False)
            for module in ("row_modes", "mode_reading", "mode_rules"):
                patch.setattr(f"temperament.batch.{module}.branches", lambda _: False)
        for slot, (preset, output) in enumerate(zip(presets, outputs, strict=True)):
            batch.write(slot, request_of(preset), [0], output)
        for step in range(12):
            slots = np.array(random.sample(range(SLOTS), random.randint(1, SLOTS)))
            x = torch.randn(len(slots), size, generator=torch.Generator().manual_seed(step))
            done = batch.run(x.clone(), slots)
            for row, slot in enumerate(slots):
                expected = alone(presets[slot], vocabulary, outputs[slot], x[row : row + 1])
                assert rows.same_bits(done[row : row + 1], expected)
            for slot, output in enumerate(outputs):
                token = random.choice([random.randrange(size), *output[-2:]])
                output.append(token)
                batch.log.append(torch.tensor([token]), np.array([slot]))
            if random.random() < 0.3:
                one, other = random.sample(range(SLOTS), 2)
                batch.swap(one, other)
                presets[one], presets[other] = presets[other], presets[one]
                outputs[one], outputs[other] = outputs[other], outputs[one]


def refuse_drafts(seed: int, *, repeats: bool = True) -> None:
    """Runs requests with draft tokens, of which some are refused; each row is as if alone."""
    random = Random(seed)
    most = 3
    vocabulary, presets, batch = batch_of(random, most, repeats=repeats)
    size = len(vocabulary)
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
            torch.tensor([count for _, count in layout]),
            history,
            new=most + 1,
        )
        for row, (slot, _) in enumerate(layout):
            expected = alone(presets[slot], vocabulary, texts[row][1:], x[row : row + 1])
            assert rows.same_bits(done[row : row + 1], expected)
        for slot in slots:
            kept = random.randint(0, len(drafts[slot]))
            outputs[slot] += [*drafts[slot][:kept], random.randrange(size)]
