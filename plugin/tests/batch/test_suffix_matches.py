"""Suffix matches agree with their definition, however a history grew."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from temperament.batch import suffix_matches
from temperament.batch.suffix_matches import SuffixMatches, rebuild
from temperament.ops.history import History
from tests.examples import examples


def lengths(tokens: list[int], start: int, end: int) -> list[int]:
    """The definition: how long a suffix of tokens[start:end] ends at each place before its last."""
    found = [0] * len(tokens)
    for place in range(start, end - 1):
        while (
            place - found[place] >= start
            and tokens[place - found[place]] == tokens[end - 1 - found[place]]
        ):
            found[place] += 1
    return found


def some_text(random: Random, length: int) -> list[int]:
    """Returns random tokens, or a loop of any period, perhaps with faults."""
    few = random.choice([1, 2, 3, 50])
    period = random.randint(1, max(1, length // 2))
    loop = [random.randrange(few) for _ in range(period)]
    fault = random.choice([0.0, 0.0, 0.05, 1.0])
    return [
        random.randrange(few) if random.random() < fault else loop[place % period]
        for place in range(length)
    ]


def history(texts: list[list[int]], starts: list[int], ends: list[int]) -> History:
    longest = max(map(len, texts))
    tokens = [text + [9] * (longest - len(text)) for text in texts]
    return History(
        torch.tensor(tokens).reshape(len(texts), longest),
        torch.tensor(starts),
        torch.tensor(starts),
        torch.tensor(ends),
    )


def definition(texts: list[list[int]], starts: list[int], ends: list[int]) -> Tensor:
    longest = max(map(len, texts))
    rows = zip(texts, starts, ends, strict=True)
    return torch.tensor([lengths(t, s, e) + [0] * (longest - len(t)) for t, s, e in rows]).reshape(
        len(texts), longest
    )


@pytest.mark.parametrize("way", ["short first", "doubling", "both"])
@given(seed=st.integers(0, 2**32), length=st.integers(1, 200))
@examples(150)
def test_a_rebuild_is_the_definition(way: str, seed: int, length: int) -> None:
    """Comparing token by token, doubling, and both together find the same lengths."""
    random = Random(seed)
    texts = [some_text(random, length) for _ in range(3)]
    ends = [random.choice([length, random.randint(0, length)]) for _ in texts]
    starts = [random.choice([0, random.randint(0, end)]) for end in ends]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suffix_matches, "SHORT", {"short first": 1000, "both": 3}.get(way, 0))
        found = rebuild(history(texts, starts, ends))

    assert torch.equal(found.long(), definition(texts, starts, ends))


def test_a_long_loop() -> None:
    """8,000 tokens that repeat from the first on: the longest match is found, and in time."""
    text = [1, 2, 3] * 2700
    found = rebuild(history([text], [0], [len(text)]))[0]

    assert len(text) - 3 == found[-4]
    assert 0 == found[-2]
    assert 3 == found[2]


@given(seed=st.integers(0, 2**32), verbs=st.lists(st.integers(0, 6), max_size=40))
@examples(150)
def test_any_growth_is_the_definition(seed: int, verbs: list[int]) -> None:
    """Histories may grow by any number of tokens, shrink, or be replaced, in any batch."""
    random = Random(seed)
    memory = SuffixMatches(5)
    texts = [some_text(random, random.randint(0, 20)) for _ in range(5)]
    for verb in [0, *verbs, 0]:
        slot = random.randrange(5)
        text = texts[slot]
        if verb == 1:
            text += some_text(random, random.randint(2, 30))
        elif verb == 2:
            del text[random.randint(0, len(text)) :]
            memory.forget(slot)
        elif verb == 3:
            texts[slot] = some_text(random, random.randint(0, 150))
            memory.forget(slot)
        slots = random.sample(range(5), random.randint(1, 5))
        if verb >= 4:
            for slot in slots:
                texts[slot].append(random.choice([*texts[slot][-3:], 0, 1]))
        batch = [texts[slot] for slot in slots]
        ends = [len(text) for text in batch]
        found = memory.update(
            history([[*text, 0] for text in batch], [0] * len(slots), ends),
            np.array(slots),
            np.array(ends),
        )

        expected = definition([[*text, 0] for text in batch], [0] * len(slots), ends)
        assert torch.equal(found.length.long(), expected)


def test_a_step_that_failed_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that raised changes nothing, so that the guard may run its rows again."""
    text = [[1, 2, 1, 2, 1]]
    memory, slots = SuffixMatches(1), np.array([0])
    memory.update(history(text, [0], [4]), slots, np.array([4]))
    with monkeypatch.context() as patch:
        patch.setattr(suffix_matches, "extend", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            memory.update(history(text, [0], [5]), slots, np.array([5]))
    found = memory.update(history(text, [0], [5]), slots, np.array([5])).length

    assert torch.equal(found, definition(text, [0], [5]))
