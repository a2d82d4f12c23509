"""Ops given columns directly: neutral values, which a chain leaves out, and rows of bans alone."""

from random import Random

import pytest
import torch

from temperament.ops import OPS, sums
from temperament.ops.inputs import Column
from temperament.stages import STAGES, Stage
from temperament.stages.kinds import FLAG, NUMBER
from tests import rows

# Those whose parameters are all numbers, and that have a shape or a cut to leave undone.
STATELESS = [
    stage
    for stage in STAGES
    if not stage.needs and all(parameter.kind in (NUMBER, FLAG) for parameter in stage.parameters)
]


@pytest.mark.parametrize("stage", STATELESS, ids=lambda stage: stage.name)
@pytest.mark.parametrize("vocabulary", [1, 2, 3, 1000, 5000])
def test_neutral_columns_change_nothing(stage: Stage, vocabulary: int) -> None:
    """Neutral values beside rows that use the stage keep every bit: -0.0, NaN, all -inf."""
    random = Random(f"{stage.name} {vocabulary}")
    x = rows.logits(16, vocabulary, random)
    x[2] = -torch.inf
    x[4] = -0.0
    x[6, 0] = torch.nan
    x[8, 0] = torch.inf
    used = [rows.values(stage, random, vocabulary) for _ in range(8)]
    off = [rows.neutral(stage, random, vocabulary) for _ in range(8)]
    values = [value for pair in zip(off, used, strict=True) for value in pair]
    columns = {
        parameter.name: Column.of([value[parameter.name] for value in values])
        for parameter in stage.parameters
    }
    after = OPS[stage.name](x.clone(), **columns)

    assert rows.same_bits(after[::2], x[::2])


@pytest.mark.parametrize("stage", STATELESS, ids=lambda stage: stage.name)
@pytest.mark.parametrize("vocabulary", [1, 2, 3, 1000, 5000])
def test_a_row_of_bans_stays_one(stage: Stage, vocabulary: int) -> None:
    """-inf stays -inf where nothing else is left: no NaN."""
    random = Random(f"{stage.name} {vocabulary}")
    x = torch.full((4, vocabulary), -torch.inf)
    values = [rows.values(stage, random, vocabulary) for _ in range(4)]
    columns = {
        parameter.name: Column.of([value[parameter.name] for value in values])
        for parameter in stage.parameters
    }

    assert rows.same_bits(OPS[stage.name](x.clone(), **columns), x)


def test_equal_ends_of_a_dynamic_temperature_are_no_temperature() -> None:
    """Low = high is off, whatever it is equal to."""
    x = rows.logits(4, 100, Random(0))
    columns = {name: Column.of([0.7] * 4) for name in ("dynatemp_low", "dynatemp_high")}
    after = OPS["dynamic_temperature"](x.clone(), dynatemp_exponent=Column.of([1.0] * 4), **columns)

    assert rows.same_bits(after, x)


def test_sums_are_the_same_bits_in_any_batch() -> None:
    """Torch's own sum of a long row isn't: it splits a row that is alone among threads."""
    x = torch.randn(8, 151_936, generator=torch.Generator().manual_seed(0))
    terms = (sums.mass, sums.squared_mass, sums.weighted_distance)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    together = sums.sums(x, *terms)
    alone = [sums.sums(x[row : row + 1], *terms) for row in range(8)]
    torch.set_num_threads(threads)

    for number, total in enumerate(together):
        assert torch.equal(total, torch.cat([one[number] for one in alone]))
