"""A row whose mass lies in 100,000 equal tokens, with 50,000 unlikely ones between them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from temperament import process
from tests import cuts, rows

EQUAL, VOCABULARY = 100_000, 150_000
# by cut: values with which it would keep a few tokens of a row without ties
CUTS: dict[str, dict[str, Any]] = {
    "top_k": {"top_k": 50},
    "top_p": {"top_p": 0.5},
    "min_p": {"min_p": 1.0},
    "typical_p": {"typical_p": 0.5},
    "epsilon_cutoff": {"epsilon_cutoff": 0.01},
    "eta_cutoff": {"eta_cutoff": 0.5},
    "top_a": {"top_a": 1.0},
    "tfs": {"tfs": 0.5},
    "top_n_sigma": {"top_n_sigma": 0.5},
    "min_k": {"min_k": True, "min_k_tau": 0.0},
    "top_h": {"top_h": 0.01},
    "p_less": {"p_less": True, "p_less_order": 5.0},
    "p_less_norm": {"p_less_norm": True},
    "ees": {"ees": True},
    "mirostat": {"mirostat": 2, "mirostat_tau": 0.1},
}


def test_every_cut_is_here() -> None:
    """A new cut needs values above."""

    assert cuts.CUTS == set(CUTS)


@pytest.mark.parametrize("stage", CUTS)
def test_equal_tokens_stay_together(stage: str) -> None:
    """All of them stay with their logits, whatever the cut would keep, and no other token does."""
    shuffled = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(1))
    x = torch.full((VOCABULARY,), -30.0)
    x[shuffled[:EQUAL]] = 3.0

    actual = process(x[None], CUTS[stage], catalogue=rows.NOTHING)[0]

    assert torch.equal(actual, x.masked_fill(x < 0, -torch.inf))
