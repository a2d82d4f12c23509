"""Requests in slots: whatever was written, cleared, moved and swapped before, a batch gives what
each of its requests gives alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.batch.table import Table
from temperament.batch.token_log import TokenLog
from temperament.ops.history import History
from temperament.presets import Chain
from temperament.stages import STAGES
from tests import rows
from tests.examples import examples

SLOTS = 6
VOCABULARY = 60
# What a stage with a state gives depends on the steps before, not on the tokens alone.
STATELESS = [stage for stage in STAGES if "state" not in stage.needs]


@dataclass
class Model:
    """A request as a plain record: what a slot should hold."""

    request: Request = field(default_factory=Request)
    prompt: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        return [*self.prompt, *self.output]

    def alone(self, logits: Tensor) -> Tensor:
        """Returns [1, vocabulary]: the result of the request alone in a new batch."""
        fresh = Rows(1, vocabulary=lambda: rows.token_bytes(VOCABULARY))
        fresh.write(0, self.request, self.prompt, self.output)
        return fresh.run(logits.clone(), np.zeros(1, np.int64))


def some_request(random: Random) -> Model:
    """Returns a request with random stages in a random order, and random tokens."""
    values: dict[str, Any] = {}
    for stage in random.sample(STATELESS, random.randint(0, 6)):
        values |= rows.values(stage, random, VOCABULARY)
    movable = [stage.name for stage in STAGES if stage.movable]
    order = random.sample(movable, random.choice([0, 0, len(movable)]))
    prompt, output = rows.ids(2, VOCABULARY, 30, random)
    request = Request(
        Chain.of(values, order), random.getrandbits(60), random.choice([-1, 40]), (VOCABULARY - 1,)
    )
    return Model(request, prompt, output)


def history_of(models: Sequence[Model]) -> History:
    """Returns the history that an engine which keeps the tokens itself would pass."""
    longest = max(len(model.tokens) for model in models) + 3
    tokens = torch.full((len(models), longest), 7)
    for row, model in enumerate(models):
        tokens[row, : len(model.tokens)] = torch.tensor(model.tokens, dtype=torch.int64)
    return History(
        tokens,
        torch.zeros(len(models), dtype=torch.int64),
        torch.tensor([len(model.prompt) for model in models]),
        torch.tensor([len(model.tokens) for model in models]),
    )


class TestRows:
    """The verbs give what a dictionary of requests gives."""

    @given(seed=st.integers(0, 2**32), verbs=st.lists(st.integers(0, 6), max_size=25))
    @examples(75)
    def test_any_sequence_of_verbs(self, seed: int, verbs: list[int]) -> None:
        """After any sequence of verbs, each row has the bits that it has alone."""
        random = Random(seed)
        batch = Rows(SLOTS, vocabulary=lambda: rows.token_bytes(VOCABULARY))
        model = {slot: Model() for slot in range(SLOTS)}
        for verb in [0, 0, *verbs, 6]:
            one, other = random.sample(range(SLOTS), 2)
            if verb in (0, 1):
                model[one] = some_request(random)
                batch.write(one, model[one].request, model[one].prompt, model[one].output)
            elif verb == 2:
                batch.clear(one)
                model[one] = Model()
            elif verb == 3:
                batch.clear(other)  # as vLLM's V1 runner moves a request
                batch.swap(one, other)
                model[other], model[one] = model[one], Model()
            elif verb == 4:
                batch.swap(one, other)
                model[one], model[other] = model[other], model[one]
            elif verb == 5:
                followed = [slot for slot in range(SLOTS) if batch.follows(slot)]
                drawn = random.choices(range(VOCABULARY), k=len(followed))
                batch.log.append(torch.tensor(drawn), np.array(followed, dtype=np.int64))
                for slot, token in zip(followed, drawn, strict=True):
                    model[slot].output.append(token)
            else:
                slots = random.sample(range(SLOTS), random.randint(1, SLOTS))
                logits = rows.logits(len(slots), VOCABULARY, random)
                together = batch.run(logits.clone(), np.array(slots))
                for row, slot in enumerate(slots):
                    alone = model[slot].alone(logits[row : row + 1])
                    assert rows.same_bits(together[row : row + 1], alone)

    @given(seed=st.integers(0, 2**32))
    @examples(50)
    def test_tokens_that_the_engine_keeps(self, seed: int) -> None:
        """A history that is passed, with any padding, gives the bits of one that was written."""
        random = Random(seed)
        models = [some_request(random) for _ in range(SLOTS)]
        batch = Rows(SLOTS, vocabulary=lambda: rows.token_bytes(VOCABULARY))
        for slot, model in enumerate(models):
            batch.write(slot, model.request)
        logits = rows.logits(SLOTS, VOCABULARY, random)
        together = batch.run(logits.clone(), np.arange(SLOTS), history_of(models))

        for row, model in enumerate(models):
            alone = model.alone(logits[row : row + 1])
            assert rows.same_bits(together[row : row + 1], alone)

    @given(seed=st.integers(0, 2**32))
    @examples(75)
    def test_several_rows_of_a_request(self, seed: int) -> None:
        """If only the device knows the slots, each row has the bits that it has alone."""
        random = Random(seed)
        models = [some_request(random) for _ in range(SLOTS)]
        batch = Rows(SLOTS, vocabulary=lambda: rows.token_bytes(VOCABULARY), drafts=2)
        for slot, model in enumerate(models):
            batch.write(slot, model.request, model.prompt, model.output)
        slots = random.sample(range(SLOTS), random.randint(1, SLOTS))
        owners = sorted(random.choices(slots, k=10), key=slots.index)
        drafts = [
            Model(
                models[slot].request,
                models[slot].prompt,
                [*models[slot].output, *random.choices(range(VOCABULARY), k=row % 3)],
            )
            for row, slot in enumerate(owners)
        ]
        logits = rows.logits(len(owners), VOCABULARY, random)
        together = batch.run_expanded(
            logits.clone(),
            np.array(slots),
            torch.tensor(owners),
            torch.arange(len(owners)) % 3,
            history_of(drafts),
        )

        for row, draft in enumerate(drafts):
            alone = draft.alone(logits[row : row + 1])
            assert rows.same_bits(together[row : row + 1], alone)

    def test_a_slot_that_was_never_written_runs_nothing(self) -> None:
        """An empty slot leaves its logits as they are."""
        logits = rows.logits(2, VOCABULARY, Random(0))
        after = Rows(2).run(logits.clone(), np.arange(2))

        assert rows.same_bits(after, logits)


class TestTable:
    """The table tells what a batch runs."""

    def test_steps_are_made_once(self) -> None:
        """A batch gets the same list of steps until something is written."""
        table = Table(2)
        table.write(0, Request(Chain.of({"top_k": 5})))
        first = table.steps(np.arange(2), VOCABULARY)

        assert table.steps(np.arange(2), VOCABULARY) is first
        table.write(1, Request(Chain.of({"top_k": 7})))
        assert table.steps(np.arange(2), VOCABULARY) is not first

    def test_only_rows_that_use_a_stage_take_part(self) -> None:
        """A step for all rows has no index, and one for some rows has their numbers."""
        table = Table(3)
        table.write(0, Request(Chain.of({"temperature": 0.5})))
        table.write(2, Request(Chain.of({"temperature": 0.7, "top_p": 0.7})))
        some: list[Any] = table.steps(np.arange(3), VOCABULARY)
        all_rows = table.steps(np.array([0, 2]), VOCABULARY)

        assert [
            ("temperature", [0, 2]),
            ("top_p", [2]),
        ] == [(s.stage, s.rows.tolist()) for s in some if s.rows is not None]
        assert all_rows[0].rows is None

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_bounds_are_those_of_the_batch(self, order: tuple[int, int]) -> None:
        """`low` and `high` of a column, as float32 holds them."""
        table = Table(2)
        for slot, temperature in enumerate((0.1, 3.0)):
            table.write(slot, Request(Chain.of({"temperature": temperature})))
        step: Any = table.steps(np.array(order), VOCABULARY)[0]
        column = step.arguments["temperature"]
        values = column.values.tolist()

        assert (column.low, column.high) == (min(values), max(values))
        assert torch.tensor([(0.1, 3.0)[slot] for slot in order]).tolist() == values

    def test_needs_are_known_for_every_slot(self) -> None:
        """`uses` tells which slots need their tokens."""
        table = Table(3)
        table.write(0, Request(Chain.of({"presence_penalty": 0.5})))
        table.write(1, Request(Chain.of({"temperature": 0.5})))

        assert [True, False, False] == table.uses("history").tolist()
        table.swap(0, 2)
        assert [False, False, True] == table.uses("history").tolist()
        table.clear(2)
        assert not table.uses("history").any()


class TestTokenLog:
    """The log gives the tokens that plain lists give."""

    @given(seed=st.integers(0, 2**32), verbs=st.lists(st.integers(0, 4), max_size=40))
    @examples(50)
    def test_any_sequence_of_verbs(self, seed: int, verbs: list[int]) -> None:
        """Writing, appending, rewriting and swapping in any order give the tokens of a list."""
        random = Random(seed)
        log = TokenLog(SLOTS)
        model: dict[int, tuple[list[int], list[int]]] = {slot: ([], []) for slot in range(SLOTS)}
        for verb in [0, *verbs]:
            one, other = random.sample(range(SLOTS), 2)
            prompt, output = rows.ids(2, 1000, 90, random)
            if verb == 0:
                log.write(one, prompt, output)
                model[one] = (prompt, output)
            elif verb == 1:
                log.append(torch.arange(SLOTS))
                model = {slot: (p, [*o, slot]) for slot, (p, o) in model.items()}
            elif verb == 2:
                log.append(torch.tensor([5, 6]), np.array([one, other]))
                for slot, token in ((one, 5), (other, 6)):
                    model[slot] = (model[slot][0], [*model[slot][1], token])
            elif verb == 3:
                log.rewrite_output(one, output)
                model[one] = (model[one][0], output)
            else:
                log.swap(one, other)
                model[one], model[other] = model[other], model[one]
            slots = random.sample(range(SLOTS), random.randint(0, SLOTS))
            history = log.history(np.array(slots, dtype=np.int64))
            for row, slot in enumerate(slots):
                prompt, output = model[slot]
                end = int(history.end[row])
                assert [*prompt, *output] == history.tokens[row, :end].tolist()
                assert len(prompt) == int(history.prompt_end[row])
                assert 0 == int(history.start[row])
            assert [len(p) + len(o) for p, o in model.values()] == log.ends.tolist()
