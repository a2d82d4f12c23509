"""At a cut's border one token's logit changes by its last bit: from which one on does it stay?"""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest
import torch

from temperament import process
from temperament.presets import as_preset
from tests import cuts, reference, rows

TOKENS, ROWS, AROUND = 40, 6, 12
# by cut: values with which a token in the middle of a row is at the border somewhere
CUTS: dict[str, dict[str, Any]] = {
    "top_k": {"top_k": 9},
    "top_p": {"top_p": 0.6},
    "min_p": {"min_p": 0.2},
    "typical_p": {"typical_p": 0.6},
    "epsilon_cutoff": {"epsilon_cutoff": 0.02},
    "eta_cutoff": {"eta_cutoff": 0.1},
    "top_a": {"top_a": 0.5},
    "tfs": {"tfs": 0.8},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "min_k": {"min_k": True},
    "top_h": {"top_h": 0.5},
    "p_less": {"p_less": True},
    "p_less_norm": {"p_less_norm": True},
    "ees": {"ees": True},
    "mirostat": {"mirostat": 2, "mirostat_tau": 2.0},
}
# How many floats the border may lie off: sums over the row are float32 here. Where entropy and mass
# of `ees` grow side by side, the last bit of a sum moves it by several.
OFF = {"ees": 8}


def test_every_cut_is_here() -> None:
    """A new cut needs values above."""

    assert cuts.CUTS == set(CUTS)


def bits(number: float) -> int:
    """The number of a float32 above 0 among all of them."""
    return int(struct.unpack("<i", struct.pack("<f", number))[0])


def number(bits: int) -> float:
    """The float32 of a number."""
    return float(struct.unpack("<f", struct.pack("<i", bits))[0])


def borders(cut: str) -> list[list[tuple[bool, bool]]]:
    """For some rows, the floats around a logit from which on its token stays, by the definition.

    For each float: whether the token stays by the definition, and whether it stays here.
    """
    random, preset = Random(1), as_preset(CUTS[cut], rows.NOTHING)
    found: list[list[tuple[bool, bool]]] = []
    while len(found) < ROWS:
        row = [number(bits(random.uniform(1, 8))) for _ in range(TOKENS)]

        def stays(logit: int, row: list[float] = row) -> bool:
            return reference.chain([number(logit), *row], preset.chain)[0] > -torch.inf

        low, high = bits(0.5), bits(max(row))
        if stays(low) or not stays(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if stays(middle) else (middle, high)
        near = range(high - AROUND, high + AROUND)
        tried = torch.tensor([[number(logit), *row] for logit in near])
        here = process(tried, preset, catalogue=rows.NOTHING)[:, 0] > -torch.inf
        found.append(list(zip(map(stays, near), here.tolist(), strict=True)))
    return found


@pytest.mark.parametrize("cut", CUTS)
def test_the_border_is_where_the_definition_has_it(cut: str) -> None:
    """A token stays from the same float on as by the definition, or from the one beside it."""
    off = [sum(theirs != ours for theirs, ours in near) for near in borders(cut)]

    assert max(off) <= OFF.get(cut, 1), off
