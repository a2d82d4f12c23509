"""Counter-based noise: the numbers themselves, and that they are like chance."""

import math
from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from temperament.ops.noise import TOKEN, XTC, Noise
from tests import plain
from tests.examples import examples

SEEDS = st.integers(0, 2**63 - 1)


def noise(seeds: list[int], positions: list[int]) -> Noise:
    return Noise(torch.tensor(seeds), torch.tensor(positions))


def correlation(one: Tensor, other: Tensor) -> float:
    """Of two samples, in standard deviations of what chance gives."""
    together = torch.stack([one.flatten(), other.flatten()])
    return float(torch.corrcoef(together)[0, 1]) * math.sqrt(one.numel())


def chi_square(counts: Tensor, expected: Tensor | float) -> float:
    """How far counts are from what was expected, in standard deviations."""
    degrees = counts.numel() - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return (statistic - degrees) / math.sqrt(2 * degrees)


class TestNumbers:
    """They follow from seed, position, draw and token alone."""

    @given(seed=SEEDS, position=st.integers(0, 2**31), draw=st.sampled_from([XTC, TOKEN]))
    @examples(400)
    def test_uniform_is_the_definition(self, seed: int, position: int, draw: int) -> None:
        """Uniform noise has the definition's bits, in any batch."""
        several = noise([5, seed, 2**63 - 1], [0, position, 7]).uniform(draw)

        assert several[1].item() == plain.uniform(seed, position, draw)

    @given(seed=SEEDS, position=st.integers(0, 2**31), token=st.integers(0, 2**20))
    @examples(400)
    def test_gumbel_is_the_definition(self, seed: int, position: int, token: int) -> None:
        """Gumbel noise agrees with the definition to the last bits of the logarithm."""
        tokens = torch.tensor([[1, token, 2]])
        drawn = noise([seed], [position]).gumbel(TOKEN, tokens)[0, 1].item()

        expected = plain.gumbel(seed, position, TOKEN, token)
        assert pytest.approx(expected, rel=1e-12, abs=1e-12) == drawn

    def test_gumbel_of_a_token_is_the_same_in_any_company(self) -> None:
        """A token's noise has the same bits at any place of a tensor of any size."""
        random = Random(0)
        everything = noise([3], [4]).gumbel(TOKEN, torch.arange(5000)[None])
        for count in (1, 2, 3, 7, 64, 1023):
            some = random.sample(range(5000), count)
            alone = noise([3], [4]).gumbel(TOKEN, torch.tensor([some]))
            beside = noise([3, 9], [4, 4]).gumbel(TOKEN, torch.tensor([some, some]))

            assert torch.equal(alone[0], everything[0, some])
            assert torch.equal(beside[0], alone[0])

    def test_known_values(self) -> None:
        """A change of these changes every text that a seed gives: say so in the changelog."""
        drawn = noise([0, 1, 42, 2**63 - 1], [0, 0, 7, 123])

        assert [
            0.33805245419550545,
            0.5297145054178648,
            0.07962950129898871,
            0.12604543178457006,
        ] == drawn.uniform(XTC).tolist()

    def test_gumbel_is_finite(self) -> None:
        """Neither logarithm is of 0, at the ends of the range too."""
        uniform = (torch.tensor([0, 2**52 - 1]).double() + 0.5) * 2.0**-52

        assert (-(-uniform.log()).log()).isfinite().all()


ACROSS: dict[str, tuple[Callable[[int], Tensor], Callable[[int], Tensor]]] = {
    "seeds": (torch.arange, lambda n: torch.zeros(n, dtype=torch.int64)),
    "positions": (lambda n: torch.full((n,), 7), torch.arange),
    "both": (torch.arange, lambda n: n - torch.arange(n)),
}


@pytest.mark.parametrize("across", ACROSS)
class TestChance:
    """Neighbouring seeds, positions and tokens have nothing to do with each other.

    A good generator leaves the bounds once in 10,000 runs; there is one run, since all is fixed.
    """

    COUNT = 200_000

    def drawn(self, across: str) -> Noise:
        seeds, positions = ACROSS[across]
        return Noise(seeds(self.COUNT), positions(self.COUNT))

    @pytest.mark.parametrize("draw", [XTC, TOKEN])
    def test_uniform(self, across: str, draw: int) -> None:
        """A thousand cells of equal size hold equally many."""
        u = self.drawn(across).uniform(draw)
        counts = torch.histc(u, 1000, 0, 1)

        assert abs(chi_square(counts, self.COUNT / 1000)) < 4
        assert u.min() < 1e-4
        assert u.max() > 1 - 1e-4

    @pytest.mark.parametrize("lag", [1, 2, 3, 7, 64])
    def test_neighbours(self, across: str, lag: int) -> None:
        """Neighbouring draws have no correlation, and pairs fill the square evenly."""
        u = self.drawn(across).uniform(XTC)
        one, other = u[:-lag], u[lag:]
        cells = (one * 32).long() * 32 + (other * 32).long()

        assert abs(correlation(one, other)) < 4
        assert abs(chi_square(torch.bincount(cells, minlength=1024), len(one) / 1024)) < 4

    def test_draws(self, across: str) -> None:
        """What one stage draws says nothing of what another does."""
        drawn = self.drawn(across)

        assert abs(correlation(drawn.uniform(XTC), drawn.uniform(TOKEN))) < 4

    def test_tokens(self, across: str) -> None:
        """The noise of neighbouring tokens is independent, and has the Gumbel distribution."""
        drawn = self.drawn(across).select(torch.arange(20_000))
        g = drawn.gumbel(TOKEN, torch.arange(10).expand(20_000, 10))
        u = (-(-g).exp()).exp()

        assert abs(chi_square(torch.histc(u, 1000, 0, 1), u.numel() / 1000)) < 4
        assert abs(correlation(u[:, :-1], u[:, 1:])) < 4
        assert abs(correlation(u[:-1], u[1:])) < 4
        assert abs(correlation(u[:, 0], drawn.uniform(XTC))) < 4
