"""A chain, stage by stage: what each removed, moved and left."""

from __future__ import annotations

import math

import pytest
import torch

from temperament import PresetError, process
from temperament.presets import Catalogue
from temperament.studio.walk import walk
from tests.studio.known import PROBABILITIES, preset

LOGITS = torch.tensor(PROBABILITIES).log()
OF_DOCUMENT = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.2}


def test_the_numbers_of_each_stage() -> None:
    """Top-k of 3 removes the last two words with a mass of 0.15, and gives it to the others."""
    before, after = walk(LOGITS, preset(top_k=3).chain)

    assert ("", "top_k") == (before.stage, after.stage)
    assert {"top_k": 3} == dict(after.values)
    assert [3, 4] == after.removed.tolist()
    assert [True, True, True, False, False] == after.kept.tolist()
    assert pytest.approx(0.15) == after.removed_mass
    assert pytest.approx(0.15) == after.moved
    assert pytest.approx(-sum(p * math.log(p) for p in PROBABILITIES)) == before.entropy
    assert (
        pytest.approx([0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]) == after.probabilities.tolist()
    )


def test_the_first_is_the_models_own() -> None:
    """Nothing is removed before the chain begins, and an impossible token was never there."""
    [only] = walk(torch.tensor([1.0, -torch.inf, 0.0]), preset().chain)
    _, cut = walk(torch.tensor([1.0, -torch.inf, 0.0]), preset(top_k=1).chain)

    assert (0, 0.0, 0.0) == (len(only.removed), only.removed_mass, only.moved)
    assert [True, False, True] == only.kept.tolist()
    assert [2] == cut.removed.tolist()


@pytest.mark.parametrize(
    "values",
    [
        OF_DOCUMENT,
        {**OF_DOCUMENT, "order": ["top_k", "top_p", "temperature"]},
        {"repetition_penalty": 1.5, "frequency_penalty": 1, "temperature": 0.7, "typical_p": 0.8},
        {"xtc_probability": 1, "xtc_threshold": 0.2, "xtc_protect_structure": False},
        {"mirostat": 2, "temperature": 1.5},
        {"adaptive_target": 0.3},
        {"temperature": 0},
        {"temperature": 0.9, "reproducible": True},
    ],
    ids="-".join,
)
def test_the_last_is_what_an_engine_draws_from(values: dict[str, object]) -> None:
    """Stage by stage gives, bit for bit, what the whole chain gives at once."""
    context = {"prompt_ids": [0, 1, 0], "output_ids": [1, 2]}
    snapshots = walk(LOGITS, preset(**values).chain, seed=7, **context)  # type: ignore[arg-type]
    at_once = process(
        LOGITS[None],
        values,
        prompt_ids=[[0, 1, 0]],
        output_ids=[[1, 2]],
        seeds=[7],
        catalogue=Catalogue({}),
    )[0]

    assert at_once.double().softmax(-1).equal(snapshots[-1].probabilities)
    assert len(snapshots) == len(preset(**values).chain.steps) + 1


def test_the_order_is_the_presets() -> None:
    """Two orders of the same stages keep different sets."""
    first = walk(LOGITS, preset(temperature=3, top_p=0.7).chain)
    second = walk(LOGITS, preset(temperature=3, top_p=0.7, order=["top_p", "temperature"]).chain)

    assert ["", "temperature", "top_p"] == [s.stage for s in first]
    assert ["", "top_p", "temperature"] == [s.stage for s in second]
    assert (4, 2) == (int(first[-1].kept.sum()), int(second[-1].kept.sum()))


def test_the_given_logits_stay() -> None:
    """The caller's tensor is not changed."""
    logits = LOGITS.clone()
    walk(logits, preset(top_k=1).chain)

    assert LOGITS.equal(logits)


def test_what_needs_a_tokenizer_says_so() -> None:
    """A stage that matches texts can't run on ids alone."""
    with pytest.raises(PresetError, match="banned_strings: matches texts: the tokenizer must be"):
        walk(LOGITS, preset(banned_strings=["cat"]).chain)
