"""Parameters that follow a schedule, computed for all rows at once.

Source: `temperament.presets.schedule`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.inputs import Column
from temperament.presets.schedule import SINE_SERIES


class Ramp(NamedTuple):
    """The schedules of one parameter. Its column has their values at position 0.

    A row without a schedule has a constant one: `to` is the column's value.
    """

    # [rows], of the column's dtype: the value at the schedule's end
    to: Tensor
    # [rows] int64: the position at which the schedule ends
    over: Tensor
    # [rows] int64: an index into `CURVES`
    curve: Tensor

    def at(self, column: Column, position: Tensor) -> Column:
        """Returns the column at each row's position ([rows] int64).

        `v(p) = from + (to - from) * s(min(p / over, 1))` in float64, with `s(w) = w` for a linear
        curve and `s(w) = (1 - cos(pi w)) / 2` for a cosine. An integer is rounded, ties to even.
        """
        progress = (position.double() / self.over).clamp(0.0, 1.0)
        share = torch.where(self.curve == 0, progress, _half_cosine(progress))
        begin = column.values.double()
        values = begin + (self.to.double() - begin) * share
        values = values.round() if column.values.dtype == torch.int64 else values
        return column._replace(values=values.to(column.values.dtype)).clamped()


def _half_cosine(progress: Tensor) -> Tensor:
    """Returns `(1 - cos(pi w)) / 2 = sin(pi w / 2)^2` by products and sums, w = `progress`.

    torch rounds `cos` differently at the end of a tensor, so a row would depend on its neighbours.
    """
    angle = progress * (torch.pi / 2)
    square = angle * angle
    sine = torch.zeros_like(progress)
    for term in reversed(SINE_SERIES):
        sine = sine * square + term
    sine = sine * angle
    return torch.where(progress >= 1.0, 1.0, sine * sine)
