"""What a step costs a GPU: launches, and passes over the logits."""

from __future__ import annotations

import pytest

from tests.kernels.counts import CHAINS, PRESETS, launches, launches_of, passes

# by chain: the most launches, and the most passes over the logits
GOALS = {
    "temperature, top_k 50, top_p .95, min_p .05": (3, 8),
    "temperature, top_p .95": (3, 8),
    "typical_p .9": (3, 10),
    "top_n_sigma 1": (3, 4),
    "min_p, xtc": (4, 8),
    "repetition, frequency and presence penalty": (4, 2),
    "dry": (6, 2),
    "mirostat 2": (5, 8),
    "top_k 50, reproducible": (4, 6),
    "everything": (16, 30),
    # These need the order of a row, and so have no goal but what they take.
    "tfs .95": (1, 28),
    "min_k": (1, 8),
    "skew .2": (1, 42),
}
each_chain = pytest.mark.parametrize("name", CHAINS)


@each_chain
def test_launches(name: str) -> None:
    """Few, and no operator of torch touches all logits."""
    counted = launches(CHAINS[name])

    assert len(counted.names) <= GOALS[name][0], counted.names
    assert 0 == counted.bytes


@pytest.mark.parametrize("name", PRESETS)
def test_launches_of_many_presets(name: str) -> None:
    """A step launches as often for 32 presets in a batch as for two, whatever their stages."""
    two, many = (
        launches_of([PRESETS[name](number) for number in numbers])
        for numbers in ((0, 31), range(32))
    )

    assert two.names == many.names


@each_chain
def test_passes(name: str) -> None:
    """A peaked and a flat row of 151,936 logits are read and written a few times."""
    count = 1 if name.startswith("skew") else 2  # skew sorts any row the same

    assert round(passes(CHAINS[name], count), 2) <= GOALS[name][1]
