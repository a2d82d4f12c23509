"""Columns: one number for every place, such as a parameter.

Each column is an array on the host and a tensor on the device. From the array the host computes
bounds of a batch's values without waiting for the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Places
from temperament.batch.ramp import Ramp
from temperament.ops.inputs import Column
from temperament.presets.schedule import CURVES, Schedule
from temperament.stages import Parameter


class Columns:
    """Columns of `places` places by name; a column exists once a place has written to it."""

    def __init__(self, places: int, device: torch.device) -> None:
        self._places = places
        self._device = device
        # by column: [places], on the host and on the device
        self._host: dict[str, np.ndarray[Any, Any]] = {}
        self._tensors: dict[str, Tensor] = {}
        # the columns that were written on the host since the last flush
        self._stale: set[str] = set()
        # [places] bool: whether a parameter of the place follows a schedule
        self.scheduled = np.zeros(places, dtype=np.bool_)

    def grow(self, count: int) -> None:
        """Adds `count` places, whose numbers are arbitrary until they are written."""
        self._places += count
        self.scheduled = np.concatenate([self.scheduled, np.zeros(count, dtype=np.bool_)])
        for name, column in self._host.items():
            self._host[name] = np.concatenate([column, np.repeat(column[-1:], count)])
        self._tensors.clear()
        self._stale.update(self._host)

    def clear(self, place: int) -> None:
        """Removes the schedules of a place. Its numbers stay until new ones are written."""
        self.scheduled[place] = False

    def write(self, place: int, name: str, value: Any, dtype: Any, unset: Any) -> None:
        """Sets a place's number; places to which none is written have the number `unset`."""
        if name not in self._host:
            self._host[name] = np.full(self._places, unset, dtype=dtype)
        self._host[name][place] = value
        self._stale.add(name)

    def write_parameter(self, place: int, parameter: Parameter, value: Any, dtype: Any) -> None:
        """Sets a parameter to a number or a schedule of numbers."""
        name, unset = parameter.name, parameter.unset
        is_schedule = isinstance(value, Schedule)
        schedule = value if isinstance(value, Schedule) else Schedule(value, value, 1)
        self.write(place, name, schedule.start, dtype, unset)
        if is_schedule and f"{name}.to" not in self._host:
            # The first schedule of this parameter: those of other places are constant.
            self._host[f"{name}.to"] = self._host[name].copy()
        if f"{name}.to" in self._host:
            self.write(place, f"{name}.to", schedule.end, dtype, unset)
            self.write(place, f"{name}.over", schedule.over, np.int64, 1)
            self.write(place, f"{name}.curve", CURVES.index(schedule.curve), np.int64, 0)
            self.scheduled[place] |= is_schedule

    def flush(self) -> None:
        """Copies the columns that were written to the device."""
        for name in self._stale:
            host = torch.from_numpy(self._host[name])
            if name in self._tensors:
                self._tensors[name].copy_(host, non_blocking=True)
            else:
                self._tensors[name] = host.to(self._device, copy=True)
        self._stale.clear()

    def of(self, name: str, index: Tensor) -> Tensor:
        """Returns [rows] the numbers of the places `index` ([rows] int64) at the last flush."""
        return self._tensors[name].index_select(0, index)

    def parameter(self, name: str, index: Tensor, users: Places) -> tuple[Column, Ramp | None]:
        """Returns a parameter of the places `index` ([rows] int64), and their schedules if any.

        `users` are the places whose numbers bound the column.
        """
        numbers = self._host[name][users]
        low, high = numbers.min().item(), numbers.max().item()
        ramp = None
        if self.scheduled[users].any() and f"{name}.to" in self._host:
            ends = self._host[f"{name}.to"][users]
            low, high = min(low, ends.min().item()), max(high, ends.max().item())
            ramp = Ramp(*(self.of(f"{name}.{part}", index) for part in Ramp._fields))
        return Column(self.of(name, index), low, high), ramp
