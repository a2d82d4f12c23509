"""Masses and sums are the same on any processor: their arithmetic is written out."""

import math
from random import Random

import numpy as np
import pytest
import torch

from temperament.ops.exponential import masses_of
from temperament.ops.sums import add_up, allowed

ULP = 2.0**-24


def plain_mass(distance: float) -> np.float32:
    """e^d as the docstring says it, one float32 operation after the other."""
    one = np.float32
    power = one(one(distance) * one(1 / math.log(2)))
    whole = np.round(power)
    high = one(int(math.log(2) * 2**16) / 2**16)
    rest = one(one(one(distance) - whole * high) - whole * one(math.log(2) - float(high)))
    numbers = (
        0.001381459878757596,
        0.008368716575205326,
        0.04166838899254799,
        0.1666652113199234,
        0.4999999403953552,
    )
    mass = one(0)
    for number in numbers:
        mass = one(mass * rest) + one(number)
    mass = one(one(one(mass * rest) * rest) + rest) + one(1)
    return one(mass * one(2.0 ** int(whole)))


def test_a_mass_is_right_to_the_last_bits() -> None:
    """It is within 1.4 units in the last place of e^d, and within the bounds of torch's own."""
    distance = torch.linspace(-87, 0, 1_000_001)
    exact = distance.double().exp()
    error = (masses_of(distance).double() / exact - 1).abs().max().item()

    assert error < 1.4 * ULP


def test_a_mass_has_the_bits_of_the_written_arithmetic() -> None:
    """Each operation is rounded by itself: nothing is fused, on no processor."""
    random = Random(1)
    distances = [-random.uniform(0, 87) for _ in range(3000)] + [0.0, -0.0, -87.0, -1e-30]
    actual = masses_of(torch.tensor(distances)).numpy()
    with np.errstate(under="ignore"):
        expected = np.array([plain_mass(distance) for distance in distances], np.float32)

    assert expected.tobytes() == actual.tobytes()


def test_the_largest_has_a_mass_of_one() -> None:
    """The mass of distance 0 is exactly 1, and NaN of any bits stays NaN."""
    bits = torch.tensor([0x7FC00001, -1, 0x7F800001 + 5], dtype=torch.int32)

    assert [1.0, 1.0] == masses_of(torch.tensor([0.0, -0.0])).tolist()
    assert masses_of(bits.view(torch.float32)).isnan().all()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 63, 64, 65, 1000, 4096])
def test_a_sum_adds_halves(size: int) -> None:
    """The sum has the bits of the additions that the docstring names."""
    numbers = torch.rand(2, size, generator=torch.Generator().manual_seed(size))
    added = [np.float32(number) for number in numbers[1].tolist()]
    while len(added) > 1:
        half = 1 << ((len(added) - 1).bit_length() - 1)
        rest = added[half:]
        added = [a + b for a, b in zip(added, rest, strict=False)] + added[len(rest) : half]

    assert float(added[0]) == add_up(numbers)[1].item()
    assert float(added[0]) == add_up(numbers[1:])[0].item()
    assert float(added[0]) == add_up(numbers, torch.empty_like(numbers))[1].item()


def test_allowed_counts_what_is_not_removed() -> None:
    """The number of tokens above -inf is exact in a row of many pieces."""
    logits = torch.zeros(2, 100_001)
    logits[0, ::2] = -math.inf

    assert [[50_000.0], [100_001.0]] == allowed(logits).tolist()
