"""One row of numbers per request: the verbs write, clear, move, swap, flush, and what a batch runs.

A parameter is a column over all slots, with a mirror on the host. The mirror answers, without
asking the device, which rows use a stage and between what bounds its values lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.heads import HeadSteps, divide, width_of
from temperament.batch.ramp import Ramp
from temperament.batch.schedule import Shape, merge
from temperament.batch.texts import TextTables
from temperament.ops.automata import Texts
from temperament.ops.inputs import Column, Ends, Sequences, Tokens
from temperament.plan.automata.modes import Switching
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.chain import Chain
from temperament.presets.schedule import CURVES, Schedule
from temperament.stages import BY_NAME, PARAMETERS, Parameter
from temperament.stages.base import Need
from temperament.stages.kinds import ColumnKind, EntriesKind, Entry, TextsKind

_NONE = 0  # the program of a slot that runs nothing
_ENDS = "<ends>"
_RAMP = ("to", "over", "curve")

Slots = np.ndarray[Any, np.dtype[np.int64]]
_NOTHING: Entry = ((0,), -0.0)  # fills up, and doesn't count
Argument = Column | Tokens | Sequences | Texts


@dataclass(frozen=True, slots=True)
class Request:
    """What one request runs, and what its stages need to know of it."""

    chain: Chain = field(default_factory=Chain)
    # of the noise; two requests with the same seed draw the same numbers
    seed: int = 0
    # how many tokens it may generate, -1 where that isn't known
    limit: int = -1
    # the token ids that end its text
    ends: tuple[int, ...] = ()
    # with modes: the chains of the modes behind the first one, and how the text goes through them
    others: tuple[Chain, ...] = ()
    switching: Switching | None = None
    # its preset's `name@digest`, for logs
    label: str = ""

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chain of every mode."""
        return (self.chain, *self.others)

    def in_mode(self, number: int) -> Request:
        """The request as if it had this mode alone."""
        return replace(self, chain=self.chains[number], others=(), switching=None)


_NO_REQUEST = Request()


@dataclass(frozen=True, slots=True)
class BatchStep:
    """One stage for some rows of a batch."""

    stage: str
    # [n] int64 rows of the batch, None for all; expanded: [rows] bool, which rows count
    rows: Tensor | None
    arguments: dict[str, Argument]
    # [n] int64, for stages that need noise
    seed: Tensor | None = None
    ends: Ends | None = None
    # the arguments that change with the position; those above are their values at its beginning
    ramps: dict[str, Ramp] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[Need]:
        """What the stage must be given beside its arguments."""
        return BY_NAME[self.stage].needs


class Table:
    """Parameters of the requests in `slots` slots, on `device`.

    `vocabulary` is asked for the tokens' bytes when a request first needs them. `heads`: whether a
    chain may run on a row's largest logits alone, where it needs no others.
    """

    def __init__(
        self,
        slots: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
        *,
        heads: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.slots = slots
        # On a GPU the engine's own top-k stays, and a row's ties can't be asked for.
        self._heads = heads and self.device.type == "cpu"
        # [slots] each slot's program: an index into `_shapes`
        self.program = np.zeros(slots, dtype=np.int64)
        self._shapes: dict[int, Shape] = {_NONE: ()}
        # how many of the largest logits a program's last part runs on, 0: on all of them
        self._widths: dict[int, int] = {_NONE: 0}
        self._users: dict[int, int] = {}
        self._next = 1
        # parameter -> [slots] on the host and on the device
        self._host: dict[str, np.ndarray[Any, Any]] = {}
        self._columns: dict[str, Tensor] = {}
        self._stale: set[str] = set()
        # parameter -> slot -> its entries, or its texts
        self._entries: dict[str, dict[int, list[Entry]]] = {}
        self._texts: dict[str, dict[int, tuple[str, ...]]] = {}
        self._vocabulary = vocabulary
        self._text_tables: TextTables | None = None
        # [slots] whether a slot has a number that changes with the position
        self._ramped = np.zeros(slots, dtype=np.bool_)
        self._requests: list[Request] = [_NO_REQUEST] * slots
        self._version = 0
        self._prepared: tuple[tuple[int, bytes], list[BatchStep | HeadSteps]] | None = None

    def request(self, slot: int) -> Request:
        """What the slot runs."""
        return self._requests[slot]

    def stages(self, slot: int) -> Shape:
        """The stages of a slot, in order."""
        return self._shapes[int(self.program[slot])]

    def uses(self, *needs: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """[slots] whether a slot has a stage with one of these needs."""
        programs = [
            program
            for program, shape in self._shapes.items()
            if any(not BY_NAME[stage].needs.isdisjoint(needs) for stage in shape)
        ]
        used = np.isin(self.program, programs)
        return used | self._ramped if "history" in needs else used

    def grow(self, count: int) -> None:
        """Adds `count` slots behind the last one."""
        self._version += 1
        self.slots += count
        self.program = np.concatenate([self.program, np.zeros(count, dtype=np.int64)])
        self._ramped = np.concatenate([self._ramped, np.zeros(count, dtype=np.bool_)])
        self._requests += [_NO_REQUEST] * count
        for name, column in self._host.items():
            self._host[name] = np.concatenate([column, np.repeat(column[-1:], count)])
        self._columns.clear()
        self._stale.update(self._host)

    def write(self, slot: int, request: Request) -> None:
        """Gives a slot to a request; whatever it held before is gone."""
        self.clear(slot)
        if not request.chain:
            return
        self._requests[slot] = request
        width = width_of(request.chain.values) if self._heads else 0
        self.program[slot] = self._acquire(request.chain.names, width)
        for name, value in request.chain.values.items():
            self._write_value(slot, PARAMETERS[name], value)
        needs = request.chain.needs
        if "noise" in needs:
            self._write_column(slot, "<seed>", request.seed, np.int64, 0)
        if "ends" in needs:
            self._write_column(slot, "<limit>", request.limit, np.int64, -1)
            self._entries.setdefault(_ENDS, {})[slot] = [((t,), 0.0) for t in request.ends]

    def clear(self, slot: int) -> None:
        """Takes a slot back: it runs nothing."""
        self._version += 1
        self._release(int(self.program[slot]))
        self.program[slot] = _NONE
        self._ramped[slot] = False
        self._requests[slot] = _NO_REQUEST
        for entries in self._entries.values():
            entries.pop(slot, None)
        for texts in self._texts.values():
            texts.pop(slot, None)

    def move(self, source: int, target: int) -> None:
        """The request in `source` goes on in `target`, whose own request ends."""
        request = self._requests[source]
        self.clear(source)
        self.write(target, request)

    def swap(self, one: int, other: int) -> None:
        """The requests in two slots change places."""
        first, second = self._requests[one], self._requests[other]
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

    def steps(self, slots: Slots, vocabulary: int) -> list[BatchStep | HeadSteps]:
        """What to run for a batch whose row i is slot `slots[i]`. Cached while nothing changes."""
        key = (self._version, slots.tobytes())
        if self._prepared is not None and self._prepared[0] == key:
            return self._prepared[1]
        self.flush()
        programs, member = np.unique(self.program[slots], return_inverse=True)
        widths = [self._widths[int(program)] for program in programs]
        parts = [
            divide(self._shapes[int(program)], width)
            for program, width in zip(programs, widths, strict=True)
        ]
        before, opening, inside, behind = zip(*parts, strict=True) if parts else ((),) * 4
        steps: list[BatchStep | HeadSteps] = [*self._merged(before, slots, member, vocabulary)]
        for width in sorted({*widths} - {0}):
            takes_part = [index for index, own in enumerate(widths) if own == width]
            rows = np.flatnonzero(np.isin(member, takes_part))
            where = None if len(rows) == len(slots) else self._to_device(rows)
            mine = [
                [shape if own == width else () for shape, own in zip(shapes, widths, strict=True)]
                for shapes in (opening, inside)
            ]
            made = (self._merged(part, slots[rows], member[rows], vocabulary) for part in mine)
            steps.append(HeadSteps(width, where, *made))
        steps += self._merged(behind, slots, member, vocabulary)
        self._prepared = (key, steps)
        return steps

    def _merged(
        self, shapes: Sequence[Shape], slots: Slots, member: Slots, vocabulary: int
    ) -> list[BatchStep]:
        """The steps of rows of which each has one of the shapes: `member`, [rows]."""
        # Steps for the same rows share one tensor of them, so that a batch is gathered once.
        shared: dict[tuple[int, ...], Tensor] = {}
        steps = []
        for stage, takes_part in merge(shapes):
            rows = np.flatnonzero(np.isin(member, takes_part))
            where = None
            if len(rows) < len(slots):
                if takes_part not in shared:
                    shared[takes_part] = self._to_device(rows)
                where = shared[takes_part]
            users = slots[rows]
            steps.append(self._step(stage, where, users, users, None, vocabulary))
        return steps

    def expanded_steps(self, slots: Slots, rows: Tensor, vocabulary: int) -> list[BatchStep]:
        """What to run where only the device knows each row's slot: `rows`, [rows] int64.

        `slots` are those of the batch's requests, each once. Every stage gets a value for every
        row, and `BatchStep.rows` is a mask ([rows] bool) of those for which its result counts.
        """
        self.flush()
        programs = np.unique(self.program[slots])
        shapes = [self._shapes[int(program)] for program in programs]
        everyone = np.arange(self.slots)
        steps = []
        for stage, takes_part in merge(shapes):
            member = np.isin(self.program, programs[list(takes_part)])
            mask = self._to_device(member).index_select(0, rows)
            steps.append(self._step(stage, mask, everyone, slots[member[slots]], rows, vocabulary))
        return steps

    def _step(
        self,
        stage: str,
        where: Tensor | None,
        slots: Slots,
        users: Slots,
        rows: Tensor | None,
        vocabulary: int,
    ) -> BatchStep:
        """`slots` are those that the arguments are for, `users` those whose values bound them."""
        arguments: dict[str, Argument] = {}
        ramps: dict[str, Ramp] = {}
        needs = BY_NAME[stage].needs
        for parameter in BY_NAME[stage].parameters:
            name = parameter.name
            kind = parameter.kind
            if isinstance(kind, TextsKind):
                arguments[name] = self._gather_texts(name, slots, rows)
            elif isinstance(kind, EntriesKind):
                sequences = self._gather(name, slots, rows, vocabulary, additive=kind.additive)
                arguments[name] = sequences.tokens() if kind.single else sequences
            else:
                host = self._host[name][users]
                low, high = host.min().item(), host.max().item()
                values = self._column(name, slots, rows)
                if self._ramped[users].any() and f"{name}.to" in self._host:
                    end = self._host[f"{name}.to"][users]
                    low, high = min(low, end.min().item()), max(high, end.max().item())
                    ramps[name] = Ramp(
                        *(self._column(f"{name}.{part}", slots, rows) for part in _RAMP)
                    )
                if rows is not None and parameter.numeric:
                    # Rows that don't take part may hold anything; within the bounds it's harmless.
                    values = values.clamp(low, high)
                arguments[name] = Column(values, low, high)
        seed = self._column("<seed>", slots, rows) if "noise" in needs else None
        ends = None
        if "ends" in needs:
            ends = Ends(
                self._gather(_ENDS, slots, rows, vocabulary).tokens(),
                self._column("<limit>", slots, rows),
            )
        return BatchStep(stage, where, arguments, seed, ends, ramps)

    def _column(self, name: str, slots: Slots, rows: Tensor | None) -> Tensor:
        index = self._to_device(slots) if rows is None else rows
        return self._columns[name].index_select(0, index)

    def _gather(
        self,
        name: str,
        slots: Slots,
        rows: Tensor | None,
        vocabulary: int,
        *,
        additive: bool = False,
    ) -> Sequences:
        """The entries of a parameter, by row of the batch.

        Where only the device knows the rows, every slot's entries are filled up to one number: with
        the first of them, which changes nothing since an entry may stand twice, or, where there is
        none or entries add up, with one that doesn't count.
        """
        table = self._entries.get(name, {})
        known = [
            [entry for entry in table.get(int(slot), ()) if entry[0][-1] < vocabulary]
            for slot in slots
        ]
        most = max(map(len, known), default=0)
        if rows is not None:
            known = [
                own + [_NOTHING if additive or not own else own[0]] * (most - len(own))
                for own in known
            ]
        counts = [entry is not _NOTHING for own in known for entry in own]
        flat = [(row, *entry) for row, own in enumerate(known) for entry in own]
        longest = max((len(sequence) for _, sequence, _ in flat), default=1) - 1
        prefix = np.full((len(flat), longest), -1, dtype=np.int64)
        for number, (_, sequence, _) in enumerate(flat):
            if len(sequence) > 1:
                prefix[number, longest - len(sequence) + 1 :] = sequence[:-1]
        made = Sequences(
            self._to_device(np.array([row for row, _, _ in flat], dtype=np.int64)),
            self._to_device(prefix),
            self._to_device(np.array([s[-1] for _, s, _ in flat], dtype=np.int64)),
            self._to_device(np.array([value for _, _, value in flat], dtype=np.float32)),
            self._to_device(np.array(counts, dtype=np.bool_)),
        )
        if rows is None:
            return made
        place = (rows[:, None] * most + torch.arange(most, device=self.device)).reshape(-1)
        owner = torch.arange(rows.shape[0], device=self.device).repeat_interleave(most)
        return Sequences(owner, *(part[place] for part in made[1:]))

    def _gather_texts(self, name: str, slots: Slots, rows: Tensor | None) -> Texts:
        assert self._text_tables is not None
        table = self._texts[name]
        some = next(iter(table.values()))
        made = self._text_tables.texts([table.get(int(slot), some) for slot in slots])
        if rows is None:
            return made
        return replace(made, root=made.root.index_select(0, rows))

    def _write_value(self, slot: int, parameter: Parameter, value: Any) -> None:
        name, kind = parameter.name, parameter.kind
        if isinstance(kind, TextsKind):
            self._add_texts(value)
            self._texts.setdefault(name, {})[slot] = value
        elif isinstance(kind, EntriesKind):
            self._entries.setdefault(name, {})[slot] = kind.entries(value)
        elif isinstance(kind, ColumnKind):
            dtype = kind.dtype
            ramp = value if isinstance(value, Schedule) else Schedule(value, value, 1)
            self._write_column(slot, name, ramp.start, dtype, parameter.unset)
            if isinstance(value, Schedule) and f"{name}.to" not in self._host:
                # The rows that are there already go where they are.
                self._host[f"{name}.to"] = self._host[name].copy()
            if f"{name}.to" in self._host:
                self._write_column(slot, f"{name}.to", ramp.end, dtype, parameter.unset)
                self._write_column(slot, f"{name}.over", ramp.over, np.int64, 1)
                self._write_column(slot, f"{name}.curve", CURVES.index(ramp.curve), np.int64, 0)
                self._ramped[slot] |= isinstance(value, Schedule)

    def _write_column(self, slot: int, name: str, value: Any, dtype: Any, unset: Any) -> None:
        if name not in self._host:
            self._host[name] = np.full(self.slots, unset, dtype=dtype)
        self._host[name][slot] = value
        self._stale.add(name)

    def _add_texts(self, texts: tuple[str, ...]) -> None:
        if self._text_tables is None:
            known = TokenBytes(()) if self._vocabulary is None else self._vocabulary()
            self._text_tables = TextTables(known, self.device)
        self._text_tables.add(
            texts, [used for table in self._texts.values() for used in table.values()]
        )

    def _to_device(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _acquire(self, shape: Shape, width: int) -> int:
        for program, known in self._shapes.items():
            if known == shape and self._widths[program] == width:
                self._users[program] = self._users.get(program, 0) + 1
                return program
        program, self._next = self._next, self._next + 1
        self._shapes[program] = shape
        self._widths[program] = width
        self._users[program] = 1
        return program

    def _release(self, program: int) -> None:
        if program == _NONE:
            return
        self._users[program] -= 1
        if not self._users[program]:
            del self._users[program], self._shapes[program], self._widths[program]
