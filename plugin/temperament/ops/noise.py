"""Counter-based noise: a number for (seed, position, draw), the same in any batch and engine.

`bits = mix(mix(mix(seed) + position) + draw)` with splitmix64's finalizer; no generator keeps a
state, so nothing depends on what else was drawn. Source: Salmon et al. 2011 (counter-based
generators), Steele, Lea, Flood 2014 (splitmix64).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

# Which draw of a step a number is for.
XTC = 1
TOKEN = 2

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB


def mix(bits: Tensor) -> Tensor:
    """Splitmix64's finalizer on int64, wrapping; shifts are logical."""
    bits = (bits ^ ((bits >> 30) & 0x3FFFFFFFF)) * _FIRST
    bits = (bits ^ ((bits >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return bits ^ ((bits >> 31) & 0x1FFFFFFFF)


@dataclass(slots=True)
class Noise:
    """The noise of every row at its position."""

    # [rows] int64
    seed: Tensor
    # [rows] int64: how many tokens the row has generated
    position: Tensor

    def select(self, rows: Tensor) -> Noise:
        """The noise of some rows."""
        return Noise(self.seed.index_select(0, rows), self.position.index_select(0, rows))

    def _key(self, draw: int) -> Tensor:
        key = mix(mix(self.seed * _GOLDEN + _GOLDEN) + self.position * _GOLDEN)
        # The product is wrapped to 64 bits, as torch wraps those of tensors.
        return mix(key + ((draw * _GOLDEN + 2**63) % 2**64 - 2**63))

    def uniform(self, draw: int) -> Tensor:
        """[rows] float64 in [0, 1), of 53 bits."""
        return ((self._key(draw) >> 11) & 0x1FFFFFFFFFFFFF).double() * 2.0**-53

    def gumbel_of(self, draw: int, row: Tensor, token: Tensor) -> Tensor:
        """[n] float64: standard Gumbel noise for pairs of a row and a token, [n] int64 each."""
        return _gumbel(mix(self._key(draw)[row] + token * _GOLDEN))

    def gumbel(self, draw: int, tokens: Tensor) -> Tensor:
        """[rows, n] float64: standard Gumbel noise for token ids ([rows, n] int64).

        A token's noise doesn't depend on which other tokens are requested.
        """
        return _gumbel(mix(self._key(draw)[:, None] + tokens * _GOLDEN))


def _gumbel(bits: Tensor) -> Tensor:
    # The middle of each of the 2^52 cells, so that neither logarithm is taken of 0.
    uniform = (((bits >> 12) & 0xFFFFFFFFFFFFF).double() + 0.5) * 2.0**-52
    return uniform.log_().neg_().log_().neg_()
