"""The chains of all places on the device, where the kernels read them by place.

The one place that knows of the kernels. They run where there is Triton: on GPUs, and on the CPU
only if `TEMPERAMENT_KERNELS=interpret` asks for Triton's interpreter, which is for tests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Places
from temperament.batch.merge import Stages
from temperament.batch.ramp import Ramp
from temperament.kernels import layout
from temperament.ops.history import History
from temperament.ops.inputs import Column, Vocabulary
from temperament.ops.state import State
from temperament.presets.schedule import CURVES, Schedule
from temperament.stages import PARAMETERS

SWITCH = "TEMPERAMENT_KERNELS"


@cache
def has_triton() -> bool:
    """Returns whether the kernels can be imported."""
    return find_spec("triton") is not None


def runs_kernels(device: torch.device) -> bool:
    """Returns whether the kernels run on a device; a meta tensor goes the way of a GPU's."""
    on_cpu = device.type == "cpu" and os.environ.get(SWITCH) == "interpret"
    return has_triton() and (device.type in ("cuda", "meta") or on_cpu)


def kernel_start(stages: Stages) -> int:
    """Returns from which stage on the kernel runs a chain: all that follow have operations."""
    start = len(stages)
    while start and stages[start - 1] in layout.OPERATIONS:
        start -= 1
    return start


@dataclass(frozen=True, slots=True)
class ChainStep:
    """The rest of every row's chain, in one launch."""

    chains: DeviceChains
    # [rows] int64: the place of each row
    places: Tensor
    # whether a number of some row follows a schedule
    scheduled: bool
    rows: None = None  # all of them, as in a `BatchStep`

    def run(
        self,
        logits: Tensor,
        history: History | None,
        position: Tensor | None,
        vocabulary: Vocabulary | None,
        states: Mapping[str, State],
    ) -> Tensor:
        """Changes [rows, vocab] float32 logits in place; each row's numbers are adjacent."""
        return self.chains.run(logits, self, history, position, vocabulary, states)


class DeviceChains:
    """The programs and numbers of `places` places, on the host and on the device."""

    def __init__(self, places: int, device: torch.device) -> None:
        self._device = device
        self._columns = len(layout.COLUMNS)
        self._integer = [PARAMETERS[name].integer for name in layout.COLUMNS]
        # [places, STEPS] int32, and [places, columns] float64
        self._programs = np.zeros((places, layout.STEPS), dtype=np.int32)
        self._numbers = np.zeros((places, self._columns))
        # [places] int64
        self._seeds = np.zeros(places, dtype=np.int64)
        # [places, columns]: the schedules; a number without one is at its end all the time
        self._to = np.zeros((places, self._columns))
        self._over = np.ones((places, self._columns), dtype=np.int64)
        self._curve = np.zeros((places, self._columns), dtype=np.int64)
        # place -> the tokens that XTC never removes
        self._protected: dict[int, list[int]] = {}
        self._tensors: tuple[Tensor, ...] = ()
        self._stale = True
        # values and ids of each row's list, for as many rows as were seen
        self._list: tuple[Tensor, Tensor] | None = None
        self._nothing: dict[int, tuple[Tensor, ...]] = {}

    def grow(self, count: int) -> None:
        """Adds `count` places that run nothing."""
        self._stale = True

        def more(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.concatenate([array, np.zeros((count, *array.shape[1:]), array.dtype)])

        self._programs, self._numbers = more(self._programs), more(self._numbers)
        self._seeds, self._to = more(self._seeds), more(self._to)
        self._over, self._curve = more(self._over), more(self._curve)

    def write(
        self,
        place: int,
        stages: Stages,
        values: Mapping[str, Any],
        seed: int,
        ends: Sequence[int],
    ) -> None:
        """Sets what a place runs: some stages with operations, and the values of its chain."""
        self._stale = True
        self._programs[place] = layout.program_of(stages, values)
        self._seeds[place] = seed
        for name, column in layout.COLUMNS.items():
            value = values.get(name, 0)
            constant = Schedule(value, value, 1)
            schedule = value if isinstance(value, Schedule) else constant
            # a column of the ops has float32 numbers
            exact = float if self._integer[column] else np.float32
            self._numbers[place, column] = exact(schedule.start)
            self._to[place, column] = exact(schedule.end)
            self._over[place, column] = schedule.over
            self._curve[place, column] = CURVES.index(schedule.curve)
        if "xtc" in stages:
            kept = [*ends] if values["xtc_protect_structure"] else []
            self._protected[place] = [*kept, *values["xtc_protected"]]

    def clear(self, place: int) -> None:
        """Makes a place run nothing."""
        self._stale = True
        self._programs[place] = layout.END
        self._protected.pop(place, None)

    def flush(self) -> None:
        """Copies what was written to the device."""
        if not self._stale:
            return
        width = max(map(len, self._protected.values()), default=0)
        protected = np.full((len(self._seeds), width), -1, dtype=np.int32)
        for place, tokens in self._protected.items():
            protected[place, : len(tokens)] = tokens
        arrays = (self._programs, self._numbers, self._seeds, protected)
        ramps = (self._to, self._over, self._curve)
        self._tensors = tuple(
            torch.from_numpy(array).to(self._device, copy=True) for array in (*arrays, *ramps)
        )
        self._stale = False

    def step(self, index: Tensor, users: Places) -> ChainStep | None:
        """Returns the step of a batch whose row i is place `index[i]`; None if nothing runs.

        `users` are the places that occur in `index`.
        """
        if not self._programs[users, 0].any():
            return None
        scheduled = bool((self._to[users] != self._numbers[users]).any())
        return ChainStep(self, index, scheduled)

    def run(
        self,
        logits: Tensor,
        step: ChainStep,
        history: History | None,
        position: Tensor | None,
        vocabulary: Vocabulary | None,
        states: Mapping[str, State],
    ) -> Tensor:
        """Runs a step (`ChainStep.run`)."""
        from temperament.kernels.chain import run_chain

        rows = logits.shape[0]
        programs, numbers, seeds, protected, *ramps = self._tensors
        number_rows = step.places
        if step.scheduled and position is not None:
            numbers = self._at(step.places, numbers, ramps, position)
            number_rows = torch.arange(rows, device=self._device)
        zeros, floats, doubles, nothing = self._unused(rows)
        tokens, prompt_ends, ends = zeros[:, None], zeros, zeros
        if history is not None:
            tokens, prompt_ends, ends = history.tokens, history.prompt_end, history.end
        slots, banks = zeros, []
        for stage in ("mirostat", "adaptive_p"):
            bank = [doubles, floats, floats, zeros]
            state = states.get(stage)
            if state is not None:
                bank = [state.value, state.logits, state.normaliser, state.generated]
                slots = state.slots
            banks.append(bank)
        newline = nothing if vocabulary is None else vocabulary.newline.view(torch.int8)
        lists = self._lists(*logits.shape)
        run_chain(
            logits,
            step.places,
            programs,
            numbers,
            number_rows,
            seeds,
            slots,
            tokens,
            prompt_ends,
            ends,
            *banks,
            protected,
            newline,
            *lists,
        )
        return logits

    def _at(
        self, places: Tensor, numbers: Tensor, ramps: Sequence[Tensor], position: Tensor
    ) -> Tensor:
        """Returns [rows, columns] float64: the numbers of each row at its position."""
        begin = numbers.index_select(0, places)
        ramp = Ramp(*(part.index_select(0, places) for part in ramps))
        column = Column(begin, -torch.inf, torch.inf)
        values = ramp.at(column, position[:, None]).values
        integer = torch.tensor(self._integer, device=self._device)
        return torch.where(integer, values.round(), values.float().double())

    def _lists(self, rows: int, vocabulary: int) -> tuple[Tensor, Tensor]:
        from temperament.kernels.chain import sizes

        shape = (rows, sizes(vocabulary).capacity)
        if self._list is None or self._list[0].numel() < rows * shape[1]:
            values = torch.empty(shape, device=self._device)
            self._list = (values, torch.empty(shape, dtype=torch.int32, device=self._device))
        return self._list

    def _unused(self, rows: int) -> tuple[Tensor, ...]:
        """Returns tensors for what no row reads."""
        if rows not in self._nothing:
            if len(self._nothing) > 1024:
                self._nothing.clear()
            self._nothing[rows] = (
                torch.zeros(rows, dtype=torch.int64, device=self._device),
                torch.zeros(rows, device=self._device),
                torch.zeros(rows, dtype=torch.float64, device=self._device),
                torch.zeros(1, dtype=torch.int8, device=self._device),
            )
        return self._nothing[rows]
