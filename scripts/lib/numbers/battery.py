"""Statistical tests of the noise over neighbouring seeds, positions, and both at once.

Each gives a number that is 0 on average and 1 in standard deviation for chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from temperament.ops.noise import TOKEN, XTC, Noise

BOUND = 4.5  # of chance, one number in 150,000 is further out
CELLS = 16  # of a side of the cube of triples
Line = tuple[str, float, float, float]

ACROSS: dict[str, Callable[[Tensor], Noise]] = {
    "seeds": lambda n: Noise(n, torch.zeros_like(n)),
    "positions": lambda n: Noise(torch.full_like(n, 7), n),
    "both": lambda n: Noise(n, len(n) - n),
    "far seeds": lambda n: Noise(n * 2**40 + 2**61, n % 3),
}


def battery(count: int) -> list[Line]:
    """Returns (test, found, 0, bound) of each test over each kind of neighbours."""
    found = []
    for across, make in ACROSS.items():
        drawn = make(torch.arange(count))
        u = drawn.uniform(XTC)
        tests = {
            "uniform (Kolmogorov-Smirnov)": kolmogorov(u),
            "pairs": pairs(u),
            "triples": triples(u),
            "runs": runs(u),
            "bits": bits(u),
            "birthday spacings": birthdays(make(torch.arange(2048 * 32)).uniform(XTC)),
            "two draws of a step": correlation(u, drawn.uniform(TOKEN)),
        }
        found += [(f"{name}, {across}", value, 0.0, BOUND) for name, value in tests.items()]
    return found


def chi_square(counts: Tensor, expected: Tensor | float) -> float:
    """How far counts are from what was expected."""
    degrees = counts.numel() - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return (statistic - degrees) / math.sqrt(2 * degrees)


def kolmogorov(u: Tensor) -> float:
    """The largest difference of the distribution functions, by its mean and deviation."""
    ordered, n = u.sort().values, len(u)
    steps = torch.arange(1, n + 1, dtype=torch.float64) / n
    largest = max(float((steps - ordered).max()), float((ordered - steps + 1 / n).max()))
    # sqrt(n) D has Kolmogorov's distribution: mean sqrt(pi / 2) ln 2, variance pi^2 / 12 - mean^2.
    mean = math.sqrt(math.pi / 2) * math.log(2)
    return (math.sqrt(n) * largest - mean) / math.sqrt(math.pi**2 / 12 - mean**2)


def pairs(u: Tensor) -> float:
    """The correlation of neighbours."""
    return correlation(u[:-1], u[1:])


def correlation(one: Tensor, other: Tensor) -> float:
    """Of two samples."""
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1]) * math.sqrt(len(one))


def triples(u: Tensor) -> float:
    """How evenly three neighbours at a time fill the cube."""
    whole = (u[: len(u) // 3 * 3].reshape(-1, 3) * CELLS).long()
    cell = (whole[:, 0] * CELLS + whole[:, 1]) * CELLS + whole[:, 2]
    return chi_square(torch.bincount(cell, minlength=CELLS**3), len(whole) / CELLS**3)


def runs(u: Tensor) -> float:
    """The number of runs up and down: (2n - 1) / 3 on average, (16n - 29) / 90 in variance."""
    up, n = u[1:] > u[:-1], len(u)
    counted = 1 + int((up[1:] != up[:-1]).sum())
    return (counted - (2 * n - 1) / 3) / math.sqrt((16 * n - 29) / 90)


def bits(u: Tensor) -> float:
    """How evenly each of the 53 bits is set."""
    whole = (u * 2.0**53).long()
    shares = torch.stack([(whole >> bit & 1).sum() for bit in range(53)]).double()
    off = (shares - len(u) / 2) / math.sqrt(len(u) / 4)
    return (float(off.square().sum()) - 53) / math.sqrt(2 * 53)


def birthdays(u: Tensor) -> float:
    """Equal spacings between the birthdays of groups of 2,048 in a year of 2^31 days.

    Their number has Poisson's distribution with a mean of 2048^3 / 2^33 = 1 in each group.
    """
    groups = (u.reshape(-1, 2048) * 2.0**31).long().sort(1).values
    spacings = groups.diff(dim=1).sort(1).values
    equal = int((spacings.diff(dim=1) == 0).sum())
    mean = len(groups) * 2048**3 / 2**33
    return (equal - mean) / math.sqrt(mean)
