"""One row of numbers per request: the verbs write, clear, move, swap, flush, and what a batch runs.

A parameter is a column over all slots, with a mirror on the host. The mirror answers, without
asking the device, which rows use a stage and between what bounds its values lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.schedule import Shape, merge
from temperament.ops.inputs import Column, Tokens
from temperament.presets.chain import Chain
from temperament.stages import BY_NAME, PARAMETERS, Parameter

_NONE = 0  # the program of a slot that runs nothing


@dataclass(frozen=True, slots=True)
class BatchStep:
    """One stage for some rows of a batch."""

    stage: str
    # [n] int64 rows of the batch, None for all; expanded: [rows] bool, which rows count
    rows: Tensor | None
    arguments: dict[str, Column | Tokens]


class Table:
    """Parameters of the requests in `slots` slots, on `device`."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.slots = slots
        # [slots] each slot's program: an index into `_shapes`
        self.program = np.zeros(slots, dtype=np.int64)
        self._shapes: dict[int, Shape] = {_NONE: ()}
        self._users: dict[int, int] = {}
        self._next = 1
        # parameter -> [slots] on the host and on the device
        self._host: dict[str, np.ndarray[Any, Any]] = {}
        self._columns: dict[str, Tensor] = {}
        self._stale: set[str] = set()
        # parameter -> slot -> ((token, value), ...)
        self._tokens: dict[str, dict[int, tuple[tuple[int, float], ...]]] = {}
        self._chains: list[Chain] = [Chain()] * slots
        self._version = 0
        self._prepared: tuple[tuple[int, bytes], list[BatchStep]] | None = None

    def chain(self, slot: int) -> Chain:
        """What the slot runs."""
        return self._chains[slot]

    def uses(self, need: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """[slots] whether a slot has a stage with this need."""
        programs = [
            program
            for program, shape in self._shapes.items()
            if any(need in BY_NAME[stage].needs for stage in shape)
        ]
        return np.isin(self.program, programs)

    def write(self, slot: int, chain: Chain) -> None:
        """Gives a slot to a request; whatever it held before is gone."""
        self.clear(slot)
        if not chain:
            return
        self._chains[slot] = chain
        self.program[slot] = self._acquire(chain.names)
        for name, value in chain.values.items():
            parameter = PARAMETERS[name]
            if parameter.kind == "token_bias":
                self._tokens.setdefault(name, {})[slot] = value
            else:
                self._column(parameter)[slot] = value
                self._stale.add(name)

    def clear(self, slot: int) -> None:
        """Takes a slot back: it runs nothing."""
        self._version += 1
        self._release(int(self.program[slot]))
        self.program[slot] = _NONE
        self._chains[slot] = Chain()
        for table in self._tokens.values():
            table.pop(slot, None)

    def move(self, source: int, target: int) -> None:
        """The request in `source` goes on in `target`, whose own request ends."""
        chain = self._chains[source]
        self.clear(source)
        self.write(target, chain)

    def swap(self, one: int, other: int) -> None:
        """The requests in two slots change places."""
        first, second = self._chains[one], self._chains[other]
        self.write(one, second)
        self.write(other, first)

    def flush(self) -> None:
        """Brings written columns to the device."""
        for name in self._stale:
            host = torch.from_numpy(self._host[name])
            if name in self._columns:
                self._columns[name].copy_(host, non_blocking=True)
            else:
                self._columns[name] = host.to(self.device, copy=True)
        self._stale.clear()

    def steps(self, slots: np.ndarray[Any, np.dtype[np.int64]], vocabulary: int) -> list[BatchStep]:
        """What to run for a batch whose row i is slot `slots[i]`. Cached while nothing changes."""
        key = (self._version, slots.tobytes())
        if self._prepared is not None and self._prepared[0] == key:
            return self._prepared[1]
        self.flush()
        programs, member = np.unique(self.program[slots], return_inverse=True)
        shapes = [self._shapes[int(program)] for program in programs]
        # Steps for the same rows share one tensor of them, so that a batch is gathered once.
        shared: dict[tuple[int, ...], Tensor] = {}
        steps = []
        for stage, takes_part in merge(shapes):
            rows = np.flatnonzero(np.isin(member, takes_part))
            arguments = self._arguments(stage, slots[rows], vocabulary)
            if len(rows) == len(slots):
                steps.append(BatchStep(stage, None, arguments))
                continue
            if takes_part not in shared:
                shared[takes_part] = self._to_device(rows)
            steps.append(BatchStep(stage, shared[takes_part], arguments))
        self._prepared = (key, steps)
        return steps

    def expanded_steps(
        self, slots: np.ndarray[Any, np.dtype[np.int64]], rows: Tensor, vocabulary: int
    ) -> list[BatchStep]:
        """What to run where only the device knows each row's slot: `rows`, [rows] int64.

        `slots` are those of the batch's requests, each once. Every stage gets a value for every
        row, and `BatchStep.rows` is a mask ([rows] bool) of those for which its result counts.
        """
        self.flush()
        programs = np.unique(self.program[slots])
        shapes = [self._shapes[int(program)] for program in programs]
        steps = []
        for stage, takes_part in merge(shapes):
            member = np.isin(self.program, programs[list(takes_part)])
            users = slots[member[slots]]
            arguments: dict[str, Column | Tokens] = {}
            for parameter in BY_NAME[stage].parameters:
                if parameter.kind == "token_bias":
                    arguments[parameter.name] = self._expand_tokens(
                        parameter.name, users, rows, vocabulary
                    )
                    continue
                host = self._host[parameter.name][users]
                low, high = host.min().item(), host.max().item()
                values = self._columns[parameter.name].index_select(0, rows).clamp(low, high)
                arguments[parameter.name] = Column(values, low, high)
            mask = self._to_device(member).index_select(0, rows)
            steps.append(BatchStep(stage, mask, arguments))
        return steps

    def _arguments(
        self, stage: str, slots: np.ndarray[Any, np.dtype[np.int64]], vocabulary: int
    ) -> dict[str, Column | Tokens]:
        arguments: dict[str, Column | Tokens] = {}
        index = self._to_device(slots)
        for parameter in BY_NAME[stage].parameters:
            if parameter.kind == "token_bias":
                arguments[parameter.name] = self._gather_tokens(parameter.name, slots, vocabulary)
            else:
                host = self._host[parameter.name][slots]
                values = self._columns[parameter.name].index_select(0, index)
                low, high = host.min().item(), host.max().item()
                arguments[parameter.name] = Column(values, low, high)
        return arguments

    def _gather_tokens(
        self, name: str, slots: np.ndarray[Any, np.dtype[np.int64]], vocabulary: int
    ) -> Tokens:
        table = self._tokens[name]
        entries = [
            (row, token, value)
            for row, slot in enumerate(slots.tolist())
            for token, value in table[slot]
            if token < vocabulary
        ]
        rows, tokens, values = zip(*entries, strict=True) if entries else ((), (), ())
        return Tokens(
            torch.tensor(rows, dtype=torch.int64).to(self.device),
            torch.tensor(tokens, dtype=torch.int64).to(self.device),
            torch.tensor(values, dtype=torch.float32).to(self.device),
        )

    def _expand_tokens(
        self,
        name: str,
        slots: np.ndarray[Any, np.dtype[np.int64]],
        rows: Tensor,
        vocabulary: int,
    ) -> Tokens:
        """The entries of every row, each slot's padded to the same number with biases of -0.0."""
        entries = [[e for e in self._tokens[name][slot] if e[0] < vocabulary] for slot in slots]
        width = max(map(len, entries), default=0)
        token = np.zeros((self.slots, width), dtype=np.int64)
        value = np.full((self.slots, width), -0.0, dtype=np.float32)
        for slot, own in zip(slots, entries, strict=True):
            used = {t for t, _ in own}
            free = (t for t in range(vocabulary) if t not in used)
            filled = [*own, *((next(free), -0.0) for _ in range(width - len(own)))]
            token[slot], value[slot] = zip(*filled, strict=True) if filled else ((), ())
        number = torch.arange(rows.shape[0], device=self.device)
        return Tokens(
            number.repeat_interleave(width),
            self._to_device(token).index_select(0, rows).reshape(-1),
            self._to_device(value).index_select(0, rows).reshape(-1),
        )

    def _to_device(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _column(self, parameter: Parameter) -> np.ndarray[Any, Any]:
        column = self._host.get(parameter.name)
        if column is None:
            dtype = np.int64 if parameter.kind == "integer" else np.float32
            column = np.full(self.slots, parameter.unset, dtype=dtype)
            self._host[parameter.name] = column
        return column

    def _acquire(self, shape: Shape) -> int:
        for program, known in self._shapes.items():
            if known == shape:
                self._users[program] = self._users.get(program, 0) + 1
                return program
        program, self._next = self._next, self._next + 1
        self._shapes[program] = shape
        self._users[program] = 1
        return program

    def _release(self, program: int) -> None:
        if program == _NONE:
            return
        self._users[program] -= 1
        if not self._users[program]:
            del self._users[program], self._shapes[program]
