"""What holds for every stage of `STAGES`, with values drawn from its range.

A stage that is added is covered as it is; a new kind of parameter needs a line in `tests/rows.py`.
"""

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament import process
from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.batch.run import execute
from temperament.presets.chain import Chain
from temperament.stages import FLOAT32_TINY, STAGES, Stage
from tests import rows
from tests.devices import on_meta, without_branches

every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)

# Cuts that may remove the most likely token.
MAY_REMOVE_THE_BEST = {"typical_p", "xtc"}


class Batch:
    """Random rows of one stage, each with its own values, history and noise."""

    def __init__(self, stage: Stage, count: int, vocabulary: int, longest: int, seed: int) -> None:
        random = Random(f"{stage.name} {seed}")
        self.logits = rows.logits(count, vocabulary, random)
        self.values = [rows.values(stage, random, vocabulary) for _ in range(count)]
        self.prompts = rows.ids(count, vocabulary, longest, random)
        self.outputs = rows.ids(count, vocabulary, longest, random)
        self.rows = Rows(count, vocabulary=lambda: rows.token_bytes(vocabulary))

    def run(self, which: Sequence[int] | None = None) -> Tensor:
        """The result of some rows, run as one batch."""
        slots = np.array(range(len(self.values)) if which is None else which, dtype=np.int64)
        for row in slots.tolist():
            limit = (-1, 1, len(self.outputs[row]) + 1)[row % 3]
            ends = (self.logits.shape[1] - 1,)
            request = Request(Chain.of(self.values[row]), row, limit, ends)
            self.rows.write(row, request, self.prompts[row], self.outputs[row])
        return self.rows.run(self.logits[slots], slots)


@every_stage
class TestRows:
    """No row's result depends on its neighbours."""

    @pytest.mark.parametrize("vocabulary", [1000, 1023, 32003, 49152])
    def test_a_row_is_the_same_in_any_batch(self, stage: Stage, vocabulary: int) -> None:
        """Alone, in twos, in sevens and in another order, a row has the same bits."""
        count = 64 if vocabulary < 2000 else 21
        batch = Batch(stage, count, vocabulary, 400, seed=vocabulary)
        order = Random(vocabulary).sample(range(count), count)
        together = batch.run()

        assert rows.same_bits(batch.run(order), together[order])
        for size in (1, 2, 7):
            for start in range(0, min(6 * size, count), size):
                some = order[start : start + size]
                assert rows.same_bits(batch.run(some), together[some]), size

    def test_a_row_is_the_same_on_any_number_of_threads(self, stage: Stage) -> None:
        """A row has the same bits on one thread and on many."""
        batch = Batch(stage, 3, 40_000, 400, seed=1)
        results = []
        for number in (1, 2, 7):
            torch.set_num_threads(number)
            results += [batch.run(), torch.cat([batch.run([row]) for row in range(3)])]
        torch.set_num_threads(1)

        for result in results:
            assert rows.same_bits(result, results[0])

    def test_a_run_changes_nothing_that_it_is_given(self, stage: Stage) -> None:
        """The logits stay as they are, unless `inplace` is asked for."""
        batch = Batch(stage, 16, 1000, 100, seed=2)
        before = batch.logits.clone()
        batch.run()

        assert rows.same_bits(batch.logits, before)

    def test_logits_are_changed_where_they_lie(self, stage: Stage) -> None:
        """Logits are changed in place, in a view of wider ones too, as runners cut off padding."""
        batch = Batch(stage, 16, 1000, 100, seed=2)
        expected = batch.run()
        whole = torch.full((16, 1003), 7.0)
        view = whole[:, :1000]
        view.copy_(batch.logits)
        after = batch.rows.run(view, np.arange(16))

        assert after.data_ptr() == whole.data_ptr()
        assert rows.same_bits(view, expected)
        assert (whole[:, 1000:] == 7).all()


@every_stage
class TestTokens:
    """What may and what may not happen to a token."""

    def test_neutral_is_identity(self, stage: Stage) -> None:
        """A row with neutral values, among rows that use the stage, keeps every bit, -0.0 too."""
        random = Random(stage.name)
        batch = Batch(stage, 64, 1000, 100, seed=3)
        batch.logits[:, ::7] = -0.0
        off = range(0, 64, 3)
        for row in off:
            batch.values[row] = rows.neutral(stage, random, 1000)

        assert rows.same_bits(batch.run()[off], batch.logits[off])

    @pytest.mark.parametrize("vocabulary", [1, 2, 5, 1000])
    def test_removed_stays_removed_and_the_best_stays(self, stage: Stage, vocabulary: int) -> None:
        """-inf in, -inf out; and the largest logit of a row that has one is never lost.

        Where a stage decides anew which is the best, some token stays, and is finite.
        """
        for seed in range(5):
            batch = Batch(stage, 16, vocabulary, 50, seed)
            after = batch.run()
            assert (after[batch.logits == -math.inf] == -math.inf).all()
            assert not after.isnan().any()
            assert (after < math.inf).all()
            if stage.group in ("shape", "cut") and stage.name not in MAY_REMOVE_THE_BEST:
                best = batch.logits.argmax(-1, keepdim=True)
                assert after.gather(1, best).isfinite().all()
            assert after.isfinite().any(-1).all()

    def test_extreme_values_leave_a_finite_token(self, stage: Stage) -> None:
        """The least and the largest value of each range leave a finite token."""
        for parameter in stage.parameters:
            for end in (parameter.low, FLOAT32_TINY, parameter.high):
                batch = Batch(stage, 4, 4, 0, seed=8)
                batch.logits = torch.tensor([[-40.0, -50, -60, -70]]) * torch.tensor(
                    [[1.0], [-1.0], [1e-3], [-1e-3]]
                )
                batch.prompts = [[0, 1, 2, 3]] * 4
                if parameter.numeric and not (parameter.low_open and end == parameter.low):
                    number = int(end) if parameter.integer else end
                    batch.values = [{**row, parameter.name: number} for row in batch.values]
                after = batch.run()

                assert not after.isnan().any(), end
                assert (after < math.inf).all(), end
                assert after.isfinite().any(-1).all(), end

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("where", ["one token", "whole row"])
    def test_invalid_logits_raise_nothing(self, stage: Stage, bad: float, where: str) -> None:
        """Below the door nothing may raise, and the other rows don't notice."""
        batch = Batch(stage, 16, 1000, 50, seed=4)
        expected = batch.run()
        batch.logits[0, :] = torch.where(
            torch.arange(1000) < (1 if where == "one token" else 1000), bad, batch.logits[0]
        )
        actual = batch.run()

        assert rows.same_bits(actual[1:], expected[1:])

    def test_a_batch_may_be_empty(self, stage: Stage) -> None:
        """A batch of no rows gives no rows."""
        assert (0, 1000) == Batch(stage, 4, 1000, 50, seed=5).run([]).shape

    def test_ids_outside_the_vocabulary_raise_nothing(self, stage: Stage) -> None:
        """Placeholders and tokens of other modalities stand in histories."""
        batch = Batch(stage, 16, 1000, 50, seed=6)
        for ids in (*batch.prompts, *batch.outputs):
            ids[:0] = [-1, 1000, 2**31]
            ids += [1000, -1]

        assert batch.run().shape == batch.logits.shape


@every_stage
def test_candidates_and_the_whole_row_agree(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way over the largest logits gives what sorting every row gives, bit for bit."""
    for vocabulary in (1025, 5000, 32003):
        batch = Batch(stage, 32, vocabulary, 50, seed=vocabulary)
        batch.logits[::2] *= 0.01  # flat: more tokens are kept than there are candidates
        short = batch.run()
        with monkeypatch.context() as patch:
            without_branches(patch)
            whole = batch.run()

        assert rows.same_bits(short, whole)


@every_stage
@pytest.mark.parametrize("others", [False, True], ids=["all rows", "some rows"])
def test_no_stage_synchronises(stage: Stage, others: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU nothing reads data back: no `.item()`, no `.cpu()`, no indexing with a mask."""
    recorded: list[Any] = []
    monkeypatch.setattr("temperament.batch.rows.execute", lambda *args: recorded.extend(args))
    batch = Batch(stage, 8, 5000, 100, seed=7)
    if others:
        batch.values[3] = {}
    batch.run()
    done = execute(*(on_meta(argument) for argument in recorded))

    assert done.shape == batch.logits.shape


@pytest.mark.parametrize(
    "synchronises",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: torch.where(x > 0),
    ],
    ids=["item", "cpu", "tolist", "bool", "mask", "where"],
)
def test_a_synchronisation_would_be_noticed(synchronises: Callable[[Tensor], Any]) -> None:
    """Each way to read data back raises on tensors without data, so the test above can fail."""
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        synchronises(torch.empty(4, 100, device="meta"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_float_type(dtype: torch.dtype) -> None:
    """Logits of any float type are computed in float32, and returned as that."""
    x = rows.logits(4, 1000, Random(0)).to(dtype)
    chain = rows.preset({"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.05})
    after = process(x, chain, catalogue=rows.NOTHING)

    assert after.dtype == torch.float32
    assert rows.same_bits(after, process(x.float(), chain, catalogue=rows.NOTHING))
