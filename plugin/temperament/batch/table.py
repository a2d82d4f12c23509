"""The table of parameters: what each place runs, and the steps of a batch of places.

A request with modes has a place for each of them, any other request has one. A program lists the
stages of a place; columns, entries and texts have the stages' parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Flags, Places, to_device
from temperament.batch.candidates import Division, divide, width_of
from temperament.batch.columns import Columns
from temperament.batch.device_chains import ChainStep, DeviceChains, kernel_start
from temperament.batch.entries import Entries
from temperament.batch.kernel_choice import runs_kernels
from temperament.batch.merge import Stages, merge
from temperament.batch.programs import NOTHING, Program, Programs
from temperament.batch.ramp import Ramp
from temperament.batch.request import Request
from temperament.batch.steps import Argument, BatchStep, CandidateSteps
from temperament.batch.texts import PlaceTexts
from temperament.ops.automata import Texts
from temperament.ops.inputs import Ends, Sequences
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF
from temperament.stages.kinds import ColumnKind, EntriesKind, TextsKind

Step = BatchStep | CandidateSteps | ChainStep

# Names beside the parameters'.
_SEED = "<seed>"
_LIMIT = "<limit>"
_ENDS = "<ends>"

_NO_REQUEST = Request()


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch whose row i is place `places[i]`."""

    # [rows]
    places: Places
    # [rows] int64: the index of each row's chain, among the different ones
    member: np.ndarray[Any, np.dtype[np.int64]]
    # the number of logits of a row
    vocabulary: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that the arguments of a step are for."""

    # [n] the places that take part: they bound the arguments
    users: Places
    # [rows] int64 on the device: the place of each row; the same as `users`, unless expanded
    index: Tensor
    # the number of logits of a row
    vocabulary: int
    # whether only the device knows the rows, some of which take no part
    expanded: bool = False


class Table:
    """The parameters of `places` places, on `device`.

    `vocabulary` returns the tokens' bytes; it is called when a request first needs them.
    `candidates` is whether a chain may run on a row's largest logits alone.
    """

    def __init__(
        self,
        places: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
        *,
        candidates: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.places = places
        # On a GPU the engine's own top-k is faster, and counting a row's ties would wait for the
        # GPU.
        kernels = runs_kernels(self.device)
        self._candidates = candidates and self.device.type == "cpu" and not kernels
        self._programs = Programs(places)
        self._columns = Columns(places, self.device)
        # None where there are no kernels
        self._chains = DeviceChains(places, self.device) if kernels else None
        self._entries = Entries(self.device)
        self._texts = PlaceTexts(self.device, vocabulary)
        self._requests: list[Request] = [_NO_REQUEST] * places
        # counts the changes, so that `steps` knows whether its last result is still valid
        self._version = 0
        self._prepared: tuple[int, Places, list[Step]] | None = None
        # the last result of `expanded_steps`, where the kernels run all stages
        self._expanded: tuple[tuple[int, bytes], list[ChainStep]] | None = None

    def stages(self, place: int) -> Stages:
        """Returns the stages of a place, in order."""
        return self._programs[self._programs.number[place]].stages

    def active(self, places: Places) -> bool:
        """Returns whether one of the places runs anything."""
        return bool((self._programs.number[places] != NOTHING).any())

    def uses(self, *needs: str) -> Flags:
        """Returns [places] bool: whether the place has a stage with one of these needs."""
        used = self._programs.need(*needs)
        return used | self._columns.scheduled if "history" in needs else used

    def changes_once(self, places: Places, vocabulary: int) -> bool:
        """Returns whether a batch of these places is one launch, or nothing at all.

        Then an error on the host comes before any logit was changed. Without kernels it never is.
        """
        if self._chains is None:
            return False
        steps = self.steps(places, vocabulary)
        return all(isinstance(step, ChainStep) and step.launches == 1 for step in steps)

    def scheduled(self, places: Places) -> bool:
        """Returns whether a parameter of one of the places follows a schedule."""
        return bool(self._columns.scheduled[places].any())

    def grow(self, count: int) -> None:
        """Adds `count` places that run nothing."""
        self._version += 1
        self.places += count
        self._programs.grow(count)
        self._columns.grow(count)
        if self._chains is not None:
            self._chains.grow(count)
        self._requests += [_NO_REQUEST] * count

    def write(self, place: int, request: Request) -> None:
        """Makes a place run a request's first chain instead of its previous one."""
        self.clear(place)
        if not request.chain:
            return
        self._requests[place] = request
        values, needs = request.chain.values, request.chain.needs
        width = width_of(request.chain) if self._candidates else 0
        self._programs.write(place, Program(request.chain.names, width))
        in_kernel = self._write_chain(place, request)
        for name, value in values.items():
            kind = PARAMETERS[name].kind
            if isinstance(kind, TextsKind):
                self._texts.write(place, name, value)
            elif STAGE_OF[name].name in in_kernel:
                continue
            elif isinstance(kind, EntriesKind):
                self._entries.write(place, name, kind.entries(value))
            elif isinstance(kind, ColumnKind):
                self._columns.write_parameter(place, PARAMETERS[name], value, kind.dtype)
        if "noise" in needs:
            self._columns.write(place, _SEED, request.seed, np.int64, 0)
        if "ends" in needs:
            self._columns.write(place, _LIMIT, request.limit, np.int64, -1)
            self._entries.write(place, _ENDS, [((token,), 0.0) for token in request.ends])

    def _write_chain(self, place: int, request: Request) -> Stages:
        """Writes what the kernels run of a request's chain; returns these stages."""
        if self._chains is None:
            return ()
        names, values = request.chain.names, request.chain.values
        stages = names[kernel_start(names) :]
        if stages:
            self._chains.write(place, stages, request)
        if any(isinstance(values[p.name], Schedule) for s in stages for p in BY_NAME[s].parameters):
            self._columns.scheduled[place] = True
        return stages

    def clear(self, place: int) -> None:
        """Makes a place run nothing."""
        self._version += 1
        if self._chains is not None:
            self._chains.clear(place)
        self._requests[place] = _NO_REQUEST
        self._programs.clear(place)
        self._columns.clear(place)
        self._entries.clear(place)
        self._texts.clear(place)

    def swap(self, one: int, other: int) -> None:
        """Exchanges what two places run."""
        first, second = self._requests[one], self._requests[other]
        self.write(one, second)
        self.write(other, first)

    def warm_up(self, vocabulary: int) -> None:
        """Prepares the device for a vocabulary, before a place is written."""
        if self._chains is not None:
            self._chains.warm_up(vocabulary)

    def flush(self) -> None:
        """Copies what was written to the device."""
        self._columns.flush()
        if self._chains is not None:
            self._chains.flush()

    def steps(self, places: Places, vocabulary: int) -> list[Step]:
        """Returns the steps of a batch whose row i is place `places[i]`.

        Until something is written, the same batch gets the same list.
        """
        if self._prepared is not None:
            version, earlier, steps = self._prepared
            same = places is earlier or places.tobytes() == earlier.tobytes()
            if version == self._version and same:
                return steps
        self.flush()
        numbers, member = np.unique(self._programs.number[places], return_inverse=True)
        programs = [self._programs[number] for number in numbers]
        parts = [self._divide(program) for program in programs]
        batch = _Batch(places, member, vocabulary)
        steps = []
        steps += self._merged([part.before for part in parts], batch)
        for width in sorted({program.width for program in programs} - {0}):
            has_width = [program.width == width for program in programs]
            rows = np.flatnonzero(np.array(has_width)[member])
            some = _Batch(places[rows], member[rows], vocabulary)
            opening, rest = (
                [stages if has else () for stages, has in zip(column, has_width, strict=True)]
                for column in ([p.opening for p in parts], [p.rest for p in parts])
            )
            steps.append(
                CandidateSteps(
                    width,
                    None if len(rows) == len(places) else to_device(rows, self.device),
                    self._merged(opening, some),
                    self._merged(rest, some),
                )
            )
        steps += self._merged([part.after for part in parts], batch)
        if self._chains is not None:
            index = to_device(places, self.device)
            last = self._chains.step(index, places, self._texts_of_all)
            steps += [] if last is None else [last]
        self._prepared = self._version, places, steps
        return steps

    def _divide(self, program: Program) -> Division:
        if self._chains is None:
            return divide(program.stages, program.width)
        return Division(before=program.stages[: kernel_start(program.stages)])

    def expanded_steps(
        self, places: Places, index: Tensor, vocabulary: int
    ) -> list[BatchStep | ChainStep]:
        """Returns the steps of a batch whose row i is place `index[i]` ([rows] int64).

        For batches whose rows only the device knows; `places` are all places in `index`, each once.
        The arguments have a value for every row, and `BatchStep.rows` is a mask ([rows] bool) of
        the rows that take part.
        """
        key = (self._version, places.tobytes())
        if self._expanded is not None and self._expanded[0] == key:
            return [replace(step, places=index) for step in self._expanded[1]]
        self.flush()
        numbers = np.unique(self._programs.number[places])
        steps: list[BatchStep | ChainStep] = []
        chains = [self._programs[number].stages for number in numbers]
        if self._chains is not None:
            chains = [stages[: kernel_start(stages)] for stages in chains]
        for stage, takes_part in merge(chains):
            member = np.isin(self._programs.number, numbers[list(takes_part)])
            mask = to_device(member, self.device).index_select(0, index)
            rows = _Rows(places[member[places]], index, vocabulary, expanded=True)
            steps.append(self._step(stage, mask, rows))
        if self._chains is not None:
            last = self._chains.step(index, places, self._texts_of_all)
            chained = [] if last is None else [last]
            if not steps:
                self._expanded = key, chained
            steps += chained
        return steps

    def _merged(self, chains: Sequence[Stages], batch: _Batch) -> list[BatchStep]:
        """Returns the steps of a batch in which row i has the chain `batch.member[i]`."""
        # Steps for the same rows share one tensor of them, so that a batch is gathered once.
        shared: dict[tuple[int, ...], Tensor] = {}
        steps = []
        for stage, takes_part in merge(chains):
            rows = np.flatnonzero(np.isin(batch.member, takes_part))
            where = None
            if len(rows) < len(batch.places):
                if takes_part not in shared:
                    shared[takes_part] = to_device(rows, self.device)
                where = shared[takes_part]
            users = batch.places[rows]
            index = to_device(users, self.device)
            steps.append(self._step(stage, where, _Rows(users, index, batch.vocabulary)))
        return steps

    def _step(self, stage: str, where: Tensor | None, rows: _Rows) -> BatchStep:
        arguments: dict[str, Argument] = {}
        ramps: dict[str, Ramp] = {}
        needs = BY_NAME[stage].needs
        for parameter in BY_NAME[stage].parameters:
            name, kind = parameter.name, parameter.kind
            if isinstance(kind, TextsKind):
                arguments[name] = self._texts_of(name, rows)
            elif isinstance(kind, EntriesKind):
                sequences = self._sequences_of(name, rows, additive=kind.additive)
                arguments[name] = sequences.tokens() if kind.single else sequences
            else:
                column, ramp = self._columns.parameter(name, rows.index, rows.users)
                clamp = rows.expanded and parameter.numeric
                arguments[name] = column.clamped() if clamp else column
                if ramp is not None:
                    ramps[name] = ramp
        seed = self._columns.of(_SEED, rows.index) if "noise" in needs else None
        ends = None
        if "ends" in needs:
            tokens = self._sequences_of(_ENDS, rows).tokens()
            ends = Ends(tokens, self._columns.of(_LIMIT, rows.index))
        return BatchStep(stage, where, arguments, seed, ends, ramps)

    def _sequences_of(self, name: str, rows: _Rows, *, additive: bool = False) -> Sequences:
        if not rows.expanded:
            return self._entries.of(name, rows.users, rows.vocabulary)
        return self._entries.expanded(
            name, self.places, rows.index, rows.vocabulary, additive=additive
        )

    def _texts_of_all(self, name: str) -> Texts:
        return self._texts.of(name, range(self.places))

    def _texts_of(self, name: str, rows: _Rows) -> Texts:
        if not rows.expanded:
            return self._texts.of(name, rows.users)
        return self._texts.expanded(name, self.places, rows.index)
