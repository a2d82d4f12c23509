"""Programs: the stages that each place of the table runs. Equal programs share one number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from temperament.batch.arrays import Flags
from temperament.batch.merge import Stages
from temperament.stages import BY_NAME

NOTHING = 0  # the number of the program without stages


class Program(NamedTuple):
    """The stages of a place, in order, and its number of candidates (0: it needs all logits)."""

    stages: Stages = ()
    width: int = 0


class Programs:
    """The program of each of `places` places."""

    def __init__(self, places: int) -> None:
        # [places] the number of each place's program
        self.number = np.full(places, NOTHING, dtype=np.int64)
        self._programs = {NOTHING: Program()}
        self._numbers: dict[Program, int] = {}
        # number -> how many places run that program
        self._users: dict[int, int] = {}
        self._next = NOTHING + 1

    def __getitem__(self, number: int) -> Program:
        """Returns the program with this number."""
        return self._programs[int(number)]

    def write(self, place: int, program: Program) -> None:
        """Sets the program of a place that runs nothing."""
        number = self._numbers.get(program)
        if number is None:
            number, self._next = self._next, self._next + 1
            self._programs[number], self._numbers[program] = program, number
            self._users[number] = 0
        self._users[number] += 1
        self.number[place] = number

    def clear(self, place: int) -> None:
        """Makes a place run nothing."""
        number = int(self.number[place])
        if number == NOTHING:
            return
        self.number[place] = NOTHING
        self._users[number] -= 1
        if not self._users[number]:
            del self._users[number], self._numbers[self._programs.pop(number)]

    def grow(self, count: int) -> None:
        """Adds `count` places that run nothing."""
        self.number = np.concatenate([self.number, np.full(count, NOTHING, dtype=np.int64)])

    def need(self, *needs: str) -> Flags:
        """Returns [places] bool: whether the place runs a stage that has one of these needs."""
        having = [
            number
            for number, program in self._programs.items()
            if any(not BY_NAME[stage].needs.isdisjoint(needs) for stage in program.stages)
        ]
        return np.isin(self.number, having)
