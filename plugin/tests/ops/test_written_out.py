"""Logarithms and precise masses are the same on any processor, and as right as documented."""

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament.compiled.constants import SMALL
from temperament.ops.exponential import precise_masses, rest_of_one
from temperament.ops.logarithm import logarithm
from tests import rows

ULP = 2.0**-24  # half a unit in the last place of a float32 between 1 and 2


def relative_error(actual: Tensor, exact: Tensor) -> float:
    """Returns the largest relative error."""
    return float((actual.double() / exact - 1).abs().max())


def test_a_logarithm_is_right_to_the_last_bits() -> None:
    """It is within 3 units in the last place for all sizes, and near 1 from both sides."""
    numbers = torch.cat([torch.logspace(-37, 38, 200_001), torch.linspace(0.3, 3, 200_000)])
    numbers = numbers.double()[numbers != 1]

    assert relative_error(logarithm(numbers, numbers - 1), numbers.log()) < 3 * 2 * ULP
    distances = torch.logspace(-300, -1, 100_000, dtype=torch.float64)
    distances = distances[distances > 2.0**-120]
    for above in (distances, -distances):
        actual = logarithm(1 + above, above)

        assert relative_error(actual, above.log1p()) < 3 * 2 * ULP


def test_a_logarithm_of_float32_is_that_of_float64() -> None:
    """Numbers that float32 holds give the same bits in both, since x - 1 is exact there."""
    numbers = torch.cat([torch.rand(100_000) + 1e-6, torch.logspace(-37, 0, 10_000)])
    wide = numbers.double()

    assert rows.same_bits(logarithm(wide, wide - 1), logarithm(numbers, numbers - 1))


def test_near_0_nothing_is_computed_with_the_same_bits() -> None:
    """Where a logarithm or 1 - e^p is taken for its argument, it has the argument's bits."""
    small = -SMALL * (1 + 1e-6) * torch.rand(200_000, dtype=torch.float64)

    assert rows.same_bits(small.float(), logarithm(1 + small, small))
    assert rows.same_bits(-small.float(), rest_of_one(small.float()))


def test_what_is_left_of_1_is_right_near_0_too() -> None:
    """1 - e^p is within 3 units in the last place of float32, for tiny powers too."""
    powers = torch.cat([-torch.logspace(-30, 1.9, 300_000), -torch.linspace(0.01, 87, 100_000)])
    exact = -powers.double().expm1()

    assert relative_error(rest_of_one(powers.clone()), exact) < 3 * 2 * ULP
    assert [1.0, 1.0] == rest_of_one(torch.tensor([-1e9, -math.inf])).tolist()


def test_a_precise_mass_is_right_to_the_last_bits_of_float64() -> None:
    """It is within 2 units in the last place of e^d, which is computed with 30 digits."""
    distances = torch.linspace(-700, 0, 2001, dtype=torch.float64)
    distances = torch.cat([distances, torch.linspace(-2, 0, 2001, dtype=torch.float64)])
    actual = precise_masses(distances)
    with localcontext(prec=30):
        errors = [
            abs(float(Decimal(mass) / Decimal(distance).exp() - 1))
            for mass, distance in zip(actual.tolist(), distances.tolist(), strict=True)
        ]

    assert max(errors) < 2 * 2.0**-52


def test_compiled_they_have_the_same_bits() -> None:
    """The compiler fuses no operations and leaves none out."""
    numba = pytest.importorskip("numba")
    from temperament.compiled import ranking

    def logarithms(above: Any, results: Any) -> None:
        for place in range(len(above)):
            results[place] = ranking.logarithm(1 + above[place], above[place])

    def masses(distances: Any, results: Any) -> None:
        for place in range(len(distances)):
            results[place] = ranking.precise_mass(distances[place])

    rng = np.random.default_rng(1)
    above = np.concatenate([-rng.random(3000), rng.random(3000) * 5, -(10.0 ** -rng.random(300))])
    expected = logarithm(torch.from_numpy(1 + above), torch.from_numpy(above)).numpy()
    actual = np.empty_like(expected)
    numba.njit(logarithms)(above, actual)

    assert expected.tobytes() == actual.tobytes()
    distances = -rng.random(3000) * 100
    expected = precise_masses(torch.from_numpy(distances)).numpy()
    actual = np.empty_like(expected)
    numba.njit(masses)(distances, actual)

    assert expected.tobytes() == actual.tobytes()
