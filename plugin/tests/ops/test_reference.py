"""Every op against its definition in `tests/stages`, on random rows.

Rows in which rounding decides, at a boundary, are left out by construction: where the definition
itself keeps other tokens when a parameter is changed in the sixth digit.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from temperament.presets import Chain
from temperament.stages import FLOAT32_MAX, STAGES, Stage
from tests import reference, rows
from tests.comparing import assert_same_distribution, away_from_boundaries
from tests.examples import examples
from tests.plain import REMOVED, Row, RowContext

every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
MOVABLE = [stage for stage in STAGES if stage.movable]

# Ties are common and near ties are not; negative zero and removed tokens are among them.
LOGITS = st.lists(
    st.integers(-2000, 2000).map(lambda n: n / 64) | st.sampled_from([REMOVED, -0.0, 0.0, 1.0]),
    min_size=1,
    max_size=12,
).filter(lambda x: max(x) > REMOVED)


@every_stage
@given(x=LOGITS, seed=st.integers(0, 2**32), length=st.integers(0, 12))
@examples(60)
def test_short_rows(stage: Stage, x: Row, seed: int, length: int) -> None:
    """Op and definition agree on rows of a few tokens, with many ties and short histories."""
    random = Random(seed)
    chain = Chain.of(rows.values(stage, random, len(x)))
    prompt, output = rows.ids(2, len(x), length, random)
    context = rows.context(len(x), output, random)
    assume(away_from_boundaries(x, chain, prompt, output, context))

    assert_same_distribution(
        rows.run(x, chain, prompt, output, context),
        reference.chain(x, chain, prompt, output, context),
    )


@every_stage
def test_long_rows(stage: Stage) -> None:
    """Rows of more tokens than a threshold is first looked for among, which are few or many."""
    random = Random(stage.name)
    compared = 0
    for vocabulary, count in ((5, 12), (50, 12), (300, 8), (1500, 3)):
        logits = rows.logits(count, vocabulary, random)
        for x in logits.tolist():
            chain = Chain.of(rows.values(stage, random, vocabulary))
            prompt, output = rows.ids(2, vocabulary, 40, random)
            context = rows.context(vocabulary, output, random)
            if away_from_boundaries(x, chain, prompt, output, context):
                compared += 1
                expected = reference.chain(x, chain, prompt, output, context)
                for candidates in (4, 1024):
                    with patch("temperament.ops.cut.CANDIDATES", candidates):
                        actual = rows.run(x, chain, prompt, output, context)
                    assert_same_distribution(actual, expected)

    assert compared > 15


@given(x=LOGITS, seed=st.integers(0, 2**32), length=st.integers(0, 12))
@examples(250)
def test_whole_chains(x: Row, seed: int, length: int) -> None:
    """Several stages, those that a preset may order in any order."""
    random = Random(seed)
    chosen = random.sample(STAGES, random.randint(2, 8))
    values: dict[str, Any] = {}
    for stage in chosen:
        values |= rows.values(stage, random, len(x))
    order = [stage.name for stage in random.sample(MOVABLE, len(MOVABLE))]
    chain = Chain.of(values, order[: random.randint(0, len(order))])
    prompt, output = rows.ids(2, len(x), length, random)
    context = rows.context(len(x), output, random)
    expected = reference.chain(x, chain, prompt, output, context)
    assume(away_from_boundaries(x, chain, prompt, output, context))
    assume(not rounding_could_tie(x, chain, prompt, output, context))

    assert_same_distribution(rows.run(x, chain, prompt, output, context), expected)


def rounding_could_tie(
    x: Row, chain: Chain, prompt: Sequence[int], output: Sequence[int], context: RowContext
) -> bool:
    """Whether some step gives two logits that float32 can't tell apart, or that leave it."""
    for step in chain.steps:
        x = reference.chain(x, Chain((step,)), prompt, output, context)
        finite = sorted(value for value in x if value > REMOVED)
        if max(map(abs, finite)) > FLOAT32_MAX / 4:
            return True
        for low, high in pairwise(finite):
            if low != high and math.isclose(low, high, rel_tol=1e-5, abs_tol=1e-5):
                return True
    return False


def test_the_comparison_can_fail() -> None:
    """A token too many and a probability that is off are both noticed."""
    with pytest.raises(AssertionError):
        assert_same_distribution([1.0, 0.0], [1.0, REMOVED])
    with pytest.raises(AssertionError):
        assert_same_distribution([1.0, 0.0], [1.0, 0.0001])


def test_every_stage_has_a_definition_and_a_table() -> None:
    """Each stage has its test file, which runs its table, and no test file has no stage."""
    expected = {stage.name for stage in STAGES}
    actual = {path.stem.removeprefix(reference.PREFIX) for path in reference.STAGES.glob("test_*")}

    assert expected == actual
    for stage in expected:
        module = reference.module(stage)
        assert callable(module.reference), stage
        assert module.TABLE, stage
        assert callable(module.test_the_op) and callable(module.test_the_reference), stage
