"""Speculative decoding: what a stage or a mode remembers follows from accepted tokens alone.

vLLM's own speculators need a GPU, so the steps are laid out here by hand, as V2 lays them out: each
request has a row, and a further one for each draft token. The tokens are drawn here too, and a
draft is accepted as long as its tokens are those that are drawn.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament.batch.request import request_of
from temperament.batch.rows import Rows
from temperament.ops.history import History
from temperament.presets import as_preset
from tests import rows
from tests.devices import without_branches
from tests.engines.drafting import ADAPTIVE, ENTROPY, FEW, Engine, Text, plain
from tests.engines.runners import (
    DRAFTS,
    MODES,
    NOTHING,
    SLOTS,
    VOCABULARY,
)

MIROSTAT = {"mirostat": 2, "mirostat_tau": 2.0, "mirostat_eta": 0.5}
# A stage with a state in one mode only, others in another.
PARTLY: dict[str, Any] = {
    "modes": {"one": MIROSTAT, "two": {"top_k": 4}, "three": {**MIROSTAT, **ADAPTIVE}},
    "switch": [
        {"from": ["one", "three"], "on": {"token": 1}, "to": "two"},
        {"from": "two", "on": {"tokens": 2}, "to": "back"},
        {"from": "one", "on": {"token": 2}, "to": "three"},
        {"from": "three", "on": {"entropy": {"above": 1.8}}, "to": "two"},
    ],
}
KINDS: list[dict[str, Any]] = [
    MIROSTAT,
    {**MIROSTAT, "mirostat": 1, "presence_penalty": 1.0},
    ADAPTIVE,
    {**MIROSTAT, **ADAPTIVE, "temperature": 1.4},
    ENTROPY,
    PARTLY,
    MODES,
    {"temperature": 0.8, "min_p": 0.02},
]


def texts_of(random: Random) -> list[Text]:
    """Requests with each kind of preset, some of them alike."""
    return [
        Text(number, random.choices(range(FEW), k=random.randint(1, 3)), values)
        for number, values in enumerate([*KINDS, *KINDS[:2]])
    ]


@pytest.mark.parametrize("branching", [True, False], ids=["cpu", "masked"])
@pytest.mark.parametrize("seed", range(2))
def test_texts_are_those_of_plain_decoding(
    seed: int, branching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit with any number of accepted tokens, in any batch, and after preemptions.

    Draft tokens are right as often as not; requests leave and come back to other slots, where their
    tokens are processed in parts, and other requests take theirs.
    """
    random = Random(seed)
    length = 16
    texts = texts_of(random)
    wanted = plain(texts, length)
    if not branching:
        without_branches(monkeypatch)
        monkeypatch.setattr("temperament.batch.rows.branches", lambda _: False)
        for module in ("row_modes", "mode_reading", "mode_rules"):
            monkeypatch.setattr(f"temperament.batch.{module}.branches", lambda _: False)
    engine = Engine(DRAFTS)
    accepted: set[int] = set()
    while waiting := [text for text in texts if len(text.output) < length]:
        running = [text for text in waiting if text.number in engine.slot_of]
        for text in texts:
            if text.number in engine.slot_of and (text not in running or random.random() < 0.1):
                engine.leave(text)
        free = sorted(set(range(SLOTS)) - set(engine.slot_of.values()))
        random.shuffle(free)
        for text in random.sample(waiting, len(waiting)):
            if text.number not in engine.slot_of and free and random.random() < 0.7:
                engine.join(text, free.pop())
                if text.output and random.random() < 0.5:
                    engine.process_part(text, random.randrange(1, len(text.tokens)))
        running = [text for text in waiting if text.number in engine.slot_of]
        running = random.sample(running, random.randint(0, len(running)))
        if not running:
            continue
        proposals = {}
        for text in running:
            known = wanted[text.number].output[len(text.output) :]
            right = known[: random.randint(0, DRAFTS)]
            wrong = random.choices(range(FEW), k=random.randint(0, DRAFTS - len(right)))
            proposals[text.number] = [*right, *wrong] if random.random() < 0.9 else []
        before = {text.number: len(text.output) for text in running}
        engine.step(running, proposals)
        accepted |= {len(text.output) - before[text.number] - 1 for text in running}

    assert {*range(DRAFTS + 1)} <= accepted
    assert {} == engine.runner.meter.fallbacks
    for text, own in zip(texts, wanted, strict=True):
        assert own.output == text.output[:length], text.values
        for number, alone in enumerate(own.after):
            assert rows.same_bits(text.after[number], alone), (text.values, number)


@pytest.mark.parametrize("values", KINDS, ids=str)
def test_nothing_is_left_of_a_rejected_draft(values: dict[str, Any]) -> None:
    """What is remembered is the same as after plain decoding, switches of modes included."""
    random = Random(1)
    one, other = Text(0, [1, 2], values), Text(0, [1, 2], values)
    alone, engine = Engine(0), Engine(DRAFTS)
    alone.join(one, 0)
    engine.join(other, 4)
    while len(other.output) < 16:
        engine.step([other], {0: random.choices(range(FEW), k=DRAFTS)})
    engine.step([other], {})
    while len(one.output) < len(other.output):
        alone.step([one], {})
    wanted, fields = alone.saved(one)
    kept, own_fields = engine.saved(other)

    assert one.output == other.output
    assert wanted.keys() == kept.keys()
    for stage, parts in wanted.items():
        for part, own in zip(parts, kept[stage], strict=True):
            assert torch.equal(part, own)
    assert fields == own_fields
    switches = alone.runner.batch.rows.switches
    assert switches == engine.runner.batch.rows.switches
    assert ("modes" in values) == (switches > 1)


def test_a_slot_forgets_the_drafts_of_the_last_request() -> None:
    """A new request in a slot starts from nothing, whatever drafts the last one had."""
    engine = Engine(DRAFTS)
    first, second = Text(0, [1], MIROSTAT), Text(1, [1, 2], MIROSTAT)
    engine.join(first, 2)
    for _ in range(3):
        engine.step([first], {0: [3, 4, 5]})
    engine.leave(first)
    engine.join(second, 2)
    engine.step([second], {1: [3, 4, 5]})
    (wanted,) = plain([second], 1)

    assert rows.same_bits(wanted.after[0], second.after[0])


def test_nothing_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step with draft tokens, states and modes reads no data back, off the CPU."""
    zeros = torch.zeros

    def unpinned(*shape: Any, pin_memory: bool = False, **others: Any) -> Tensor:
        return zeros(*shape, **others)

    monkeypatch.setattr(torch, "zeros", unpinned)  # memory can be pinned beside a device only
    batch = Rows(SLOTS, "meta", drafts=DRAFTS)
    for slot, values in enumerate([MIROSTAT, ADAPTIVE, ENTROPY, PARTLY]):
        batch.write(slot, request_of(as_preset(values, NOTHING)), [1, 2], [3])
    slots = np.arange(4)
    count = len(slots) * (DRAFTS + 1)
    number = torch.zeros(count, dtype=torch.int64, device="meta")
    history = History(number[:, None].expand(-1, 9), number, number, number)
    logits = torch.zeros(count, VOCABULARY, device="meta")
    done = batch.run_expanded(logits, slots, number, number, history, new=DRAFTS + 1)

    assert logits.shape == done.shape
