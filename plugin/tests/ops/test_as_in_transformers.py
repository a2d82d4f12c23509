"""Where Transformers has the same stage: the same kept tokens, the same probabilities to 1e-5.

Its own classes decide, in float64, since in float32 they lose the entropy of a steep row; on rows
without ties, since they cut some by position. Rows in which a change of the parameter in the sixth
digit keeps other tokens are left out: rounding decides there.
"""

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as theirs

from temperament import process
from temperament.stages import BY_NAME
from tests import rows

CUTS: dict[str, Callable[[float], Any]] = {
    "typical_p": lambda value: theirs.TypicalLogitsWarper(mass=value),
    "epsilon_cutoff": lambda value: theirs.EpsilonLogitsWarper(epsilon=value),
    "eta_cutoff": lambda value: theirs.EtaLogitsWarper(epsilon=value),
    "top_h": lambda value: theirs.TopHLogitsWarper(top_h=value),
}
NO_IDS = torch.zeros(1, 0, dtype=torch.int64)


def distinct(vocabulary: int, random: Random) -> Tensor:
    """[1, vocabulary] float32: a row without ties, steep or flat, some tokens removed."""
    generator = torch.Generator().manual_seed(random.getrandbits(32))
    x = torch.randn(1, vocabulary, generator=generator) * random.choice([0.3, 1.0, 3.0, 8.0])
    removed = torch.rand(x.shape, generator=generator) < random.choice([0, 0, 0.5])
    x = x.masked_fill(removed, -torch.inf)
    left = x[x > -torch.inf]
    return x if len(left) and len(set(left.tolist())) == len(left) else distinct(vocabulary, random)


def drawn(stage: str, random: Random) -> float:
    """A value that Transformers takes too, small cutoffs among them."""
    (parameter,) = BY_NAME[stage].parameters
    value = random.uniform(parameter.low, parameter.high)
    if stage.endswith("cutoff") and random.random() < 0.5:
        value = 10 ** random.uniform(-5, -1)
    return min(max(value, 1e-6), 1 - 1e-6)


def apply(x: Tensor, stage: str, value: Any) -> Tensor:
    return process(x, rows.preset({stage: value}), catalogue=rows.NOTHING)


def kept(x: Tensor) -> Tensor:
    return x > -torch.inf


def agree(one: Tensor, other: Tensor) -> bool:
    """The same tokens, with the same probabilities."""
    apart = (one.softmax(-1) - other.softmax(-1)).abs().amax()
    return torch.equal(kept(one), kept(other)) and apart.item() <= 1e-5


@pytest.mark.parametrize("stage", CUTS)
@pytest.mark.parametrize("vocabulary", [2, 11, 90, 1000, 5000])
def test_the_same_tokens_stay(stage: str, vocabulary: int) -> None:
    """The tokens that stay are those of the class that `generate` uses for the field."""
    if stage == "top_h" and not hasattr(theirs, "TopHLogitsWarper"):
        pytest.skip("this Transformers has no top_h")
    random = Random(f"{stage} {vocabulary}")
    compared = 0
    for _ in range(40):
        x, value = distinct(vocabulary, random), drawn(stage, random)
        expected = CUTS[stage](value)(NO_IDS, x.double())
        near = [CUTS[stage](value * other)(NO_IDS, x.double()) for other in (1 - 1e-5, 1 + 1e-5)]
        if all(torch.equal(kept(other), kept(expected)) for other in near):
            compared += 1
            assert agree(apply(x, stage, value), expected), value

    assert compared > 30


@pytest.mark.parametrize("vocabulary", [1, 2, 1000, 5000])
def test_the_same_log_probabilities(vocabulary: int) -> None:
    """`renormalize_logits` gives the log-probabilities that Transformers gives."""
    random = Random(vocabulary)
    for _ in range(50):
        x = distinct(vocabulary, random)
        expected = theirs.LogitNormalization()(NO_IDS, x)

        assert torch.allclose(apply(x, "renormalize_logits", True), expected, rtol=1e-6, atol=1e-5)


def test_the_same_values_are_invalid() -> None:
    """`remove_invalid_values`, but for -inf: a ban stays one here."""
    x = torch.tensor([[math.nan, math.inf, 1.0, -0.0, -3e38]])
    expected = theirs.InfNanRemoveLogitsProcessor()(NO_IDS, x)
    actual = apply(
        torch.cat([x, torch.tensor([[-math.inf]])], dim=1), "remove_invalid_values", True
    )

    assert rows.same_bits(actual[:, :-1], expected)
    assert -math.inf == actual[0, -1]


def test_the_comparison_can_fail() -> None:
    """A token too many and a probability that is off are both noticed."""
    assert not agree(torch.tensor([1.0, -20]), torch.tensor([1.0, -math.inf]))
    assert not agree(torch.tensor([1.0, 0]), torch.tensor([1.0, 0.0001]))
