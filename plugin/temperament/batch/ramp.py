"""Numbers that change with the position in a mode, computed for all rows at once.

Source: `temperament.presets.schedule`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.inputs import Column


class Ramp(NamedTuple):
    """Where the numbers of a column go. A row without a schedule goes where it is."""

    # [rows] as the column's values
    to: Tensor
    # [rows] int64
    over: Tensor
    # [rows] int64: an index into `CURVES`
    curve: Tensor

    def at(self, column: Column, position: Tensor) -> Column:
        """The column at each row's position ([rows] int64), from the values at 0."""
        way = (position.double() / self.over).clamp(0.0, 1.0)
        share = torch.where(self.curve == 0, way, _half_cosine(way))
        begin = column.values.double()
        values = begin + (self.to.double() - begin) * share
        values = values.round() if column.values.dtype == torch.int64 else values
        # Rows that don't take part may hold anything; within the bounds it's harmless.
        values = values.to(column.values.dtype).clamp(column.low, column.high)
        return Column(values, column.low, column.high)


# The Taylor series of sin(y) / y in y^2, to 1e-17 for y up to pi / 2.
_SERIES = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800,
           -1 / 1307674368000, 1 / 355687428096000, -1 / 121645100408832000)  # fmt: skip


def _half_cosine(way: Tensor) -> Tensor:
    """`(1 - cos(pi w)) / 2 = sin(pi w / 2)^2`, by products and sums alone.

    torch's own cosine rounds differently at the end of a tensor, and a row would depend on others.
    """
    angle = way * (torch.pi / 2)
    square = angle * angle
    sine = torch.zeros_like(way)
    for term in reversed(_SERIES):
        sine = sine * square + term
    sine = sine * angle
    return torch.where(way >= 1.0, 1.0, sine * sine)
