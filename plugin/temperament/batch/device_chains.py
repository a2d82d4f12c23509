"""The chains of all places on the device, where the kernels read them by place.

Only this file calls the kernels; `batch.kernel_choice` decides where they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Places
from temperament.batch.drafts import StepRows
from temperament.batch.merge import Stages
from temperament.batch.place_lists import PlaceLists
from temperament.batch.request import Request
from temperament.kernels import layout
from temperament.ops.automata import Automata, Texts
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Vocabulary
from temperament.ops.state import State
from temperament.presets.schedule import CURVES, Schedule
from temperament.stages import BY_NAME, PARAMETERS
from temperament.stages.kinds import EntriesKind

# The operations for which a row needs a number for each token of the vocabulary.
_COUNTING = {layout.DRY, layout.FREQUENCY, layout.BANNED_TEXTS}


def kernel_start(stages: Stages) -> int:
    """Returns from which stage on the kernel runs a chain: all that follow have operations."""
    start = len(stages)
    while start and stages[start - 1] in layout.OPERATIONS:
        start -= 1
    return start


@dataclass(frozen=True)
class ChainStep:
    """What the kernels run of every row's chain.

    One launch is for biases, penalties and bans, another for all other stages.
    """

    chains: DeviceChains
    # [rows] int64: the place of each row
    places: Tensor
    # the operations that occur in the rows' programs
    operations: frozenset[int]
    # whether a number of some row follows a schedule
    scheduled: bool
    # DRY's breakers and the banned strings of all places, None if no row has the stage
    breakers: Texts | None
    banned: Texts | None
    rows: None = None  # all of them, as in a `BatchStep`

    @cached_property
    def on_some(self) -> bool:
        """Returns whether the kernel of biases, penalties and bans is launched."""
        return max(self.operations) >= layout.ON_SOME

    @cached_property
    def on_all(self) -> bool:
        """Returns whether the kernel of shapes and cuts is launched."""
        return min(self.operations) < layout.ON_SOME

    @cached_property
    def counting(self) -> bool:
        """Returns whether a row needs a number for each token of the vocabulary."""
        return not self.operations.isdisjoint(_COUNTING)

    @cached_property
    def ordered(self) -> bool:
        """Returns whether a row may be sorted."""
        return not self.operations.isdisjoint(layout.ORDERED)

    @property
    def launches(self) -> int:
        """Returns how many kernels change logits."""
        return self.on_some + self.on_all

    def run(self, logits: Tensor, inputs: Inputs) -> Tensor:
        """Changes [rows, vocab] float32 logits in place; each row's numbers are adjacent."""
        return self.chains.run(logits, self, inputs)


class Inputs(NamedTuple):
    """What the kernels read beside the numbers; None where no stage reads it."""

    history: History | None
    matches: Matches | None
    # [rows] int64: the position of each row's schedule
    position: Tensor | None
    vocabulary: Vocabulary | None
    # by stage
    states: Mapping[str, State]


class DeviceChains:
    """The programs and numbers of `places` places, on the host and on the device."""

    def __init__(self, places: int, device: torch.device) -> None:
        self._device = device
        self._columns = len(layout.COLUMNS)
        # [columns] int8: whether a column's numbers are integers
        self._integer = np.array(
            [name == layout.LIMIT or PARAMETERS[name].integer for name in layout.COLUMNS], np.int8
        )
        # [places, STEPS] int32, and [places, columns] float64
        self._programs = np.zeros((places, layout.STEPS), dtype=np.int32)
        self._numbers = np.zeros((places, self._columns))
        # [places] int64
        self._seeds = np.zeros(places, dtype=np.int64)
        # [places, columns]: the schedules; a constant number has one from itself to itself
        self._to = np.zeros((places, self._columns))
        self._over = np.ones((places, self._columns), dtype=np.int64)
        self._curve = np.zeros((places, self._columns), dtype=np.int64)
        # place -> the tokens that XTC never removes
        self._protected: dict[int, list[int]] = {}
        self._lists = PlaceLists()
        self._tensors: tuple[Tensor, ...] = ()
        self._stale = True
        # the values and ids of each row's remaining tokens, with room for the largest step so far
        self._left: tuple[Tensor, Tensor] | None = None
        # (rows, vocabulary) -> the same, for steps that were seen
        self._rooms: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        # two copies of each row's values and places for sorting, with room for the largest step
        self._sorted = (
            torch.empty(1, device=device),
            torch.empty(1, dtype=torch.int32, device=device),
        )
        self._nothing: dict[int, _Unused] = {}
        # a number and a flag for each position of a row's history, or entry of its longest list
        self._before = torch.empty(0, device=device)
        self._flags = torch.empty(0, dtype=torch.int8, device=device)
        # [rows, vocabulary] int32, 0 between the launches
        self._counts = torch.zeros(1, dtype=torch.int32, device=device)

    def grow(self, count: int) -> None:
        """Adds `count` places that run nothing."""
        self._stale = True

        def more(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.concatenate([array, np.zeros((count, *array.shape[1:]), array.dtype)])

        self._programs, self._numbers = more(self._programs), more(self._numbers)
        self._seeds, self._to = more(self._seeds), more(self._to)
        self._over, self._curve = more(self._over), more(self._curve)

    def write(self, place: int, stages: Stages, request: Request) -> None:
        """Sets what a place runs of a request's first chain: stages with operations."""
        self._stale = True
        values = request.chain.values
        self._programs[place] = layout.program_of(stages, values)
        self._seeds[place] = request.seed
        for name, column in layout.COLUMNS.items():
            value = request.limit if name == layout.LIMIT else values.get(name, 0)
            constant = Schedule(value, value, 1)
            schedule = value if isinstance(value, Schedule) else constant
            # a column of the ops has float32 numbers
            exact = float if self._integer[column] else np.float32
            self._numbers[place, column] = exact(schedule.start)
            self._to[place, column] = exact(schedule.end)
            self._over[place, column] = schedule.over
            self._curve[place, column] = CURVES.index(schedule.curve)
        if "xtc" in stages:
            kept = [*request.ends] if values["xtc_protect_structure"] else []
            self._protected[place] = [*kept, *values["xtc_protected"]]
        for parameter in (parameter for stage in stages for parameter in BY_NAME[stage].parameters):
            if isinstance(parameter.kind, EntriesKind) and parameter.name in layout.LISTS:
                entries = parameter.kind.entries(values[parameter.name])
                self._lists.write(place, parameter.name, entries)
        if any("ends" in BY_NAME[stage].needs for stage in stages):
            self._lists.write(place, layout.ENDS, [((token,), 0.0) for token in request.ends])

    def clear(self, place: int) -> None:
        """Makes a place run nothing."""
        self._stale = True
        self._programs[place] = layout.END
        self._protected.pop(place, None)
        self._lists.clear(place)

    def flush(self) -> None:
        """Copies what was written to the device."""
        if not self._stale:
            return
        width = max(map(len, self._protected.values()), default=0)
        protected = np.full((len(self._seeds), width), -1, dtype=np.int32)
        for place, tokens in self._protected.items():
            protected[place, : len(tokens)] = tokens
        lists = self._lists.joined(len(self._seeds))
        arrays = (self._programs, self._numbers, self._seeds, protected, *lists)
        ramps = (self._to, self._over, self._curve, self._integer)
        self._tensors = tuple(
            torch.from_numpy(array).to(self._device, copy=True) for array in (*arrays, *ramps)
        )
        self._stale = False

    def step(self, index: Tensor, users: Places, texts: Callable[[str], Texts]) -> ChainStep | None:
        """Returns the step of a batch whose row i is place `index[i]`; None if nothing runs.

        `users` are the places that occur in `index`; `texts` returns a parameter's texts
        of all places.
        """
        operations = frozenset(np.unique(self._programs[users]).tolist()) - {layout.END}
        if not operations:
            return None
        scheduled = bool((self._to[users] != self._numbers[users]).any())
        breakers = texts("dry_sequence_breakers") if layout.DRY in operations else None
        banned = texts("banned_strings") if layout.BANNED_TEXTS in operations else None
        return ChainStep(self, index, operations, scheduled, breakers, banned)

    def run(self, logits: Tensor, step: ChainStep, inputs: Inputs) -> Tensor:
        """Runs a step (`ChainStep.run`)."""
        numbers, number_rows = self._tensors[1], step.places
        if step.scheduled and inputs.position is not None:
            numbers = self._at(step.places, inputs.position)
            number_rows = self._unused(len(logits)).order
        if step.on_some:
            self._run_biases(logits, step, inputs, numbers, number_rows)
        if step.on_all:
            self._run_chain(logits, step, inputs, numbers, number_rows)
        return logits

    def warm_up(self, vocabulary: int) -> None:
        """Compiles the kernels for a vocabulary. That takes a minute, and no step should wait."""
        self.flush()
        zero = torch.zeros(1, dtype=torch.int64, device=self._device)
        history = History(zero[:, None], zero, zero, zero)
        operations = frozenset({layout.DRY, layout.TOP_K})
        step = ChainStep(self, zero, operations, scheduled=False, breakers=None, banned=None)
        logits = torch.zeros(1, vocabulary, device=self._device)
        self.run(logits, step, Inputs(history, None, None, None, {}))
        self._at(zero, zero)
        row, known = zero.int(), zero.clone()
        text = History(zero[:, None].clone(), zero, zero.clone(), zero.clone(), text=zero.clone())
        append_tokens(row[:, None], row, StepRows(row, row, zero, row), known, text)
        extend_matches(row[:, None].clone(), known, zero, row, text, 1)
        packed = zero[:, None].new_full((1, 64), -1)  # a request without modes
        advance_modes(packed, zero, row, text, no_tables(self._device), 0, 0, known)

    def _run_biases(
        self, logits: Tensor, step: ChainStep, inputs: Inputs, numbers: Tensor, number_rows: Tensor
    ) -> None:
        from temperament.kernels.run_biases import run_biases

        rows = logits.shape[0]
        unused = self._unused(rows)
        history, lengths = inputs.history or unused.history, unused.lengths
        if inputs.matches is not None:
            lengths = inputs.matches.length
        roots, windows, automata = [unused.zeros] * 2, [-1, -1], unused.automata
        for number, texts in enumerate((step.breakers, step.banned)):
            if texts is not None:
                roots[number], windows[number] = texts.root, texts.window
                automata = texts.automata
        most = max(history.tokens.shape[1], self._lists.longest)
        if self._before.shape[0] < rows * most:
            self._before = torch.empty(2 * rows * most, device=self._device)
            self._flags = torch.empty_like(self._before, dtype=torch.int8)
        if step.counting and self._counts.shape[0] < rows * logits.shape[1]:
            self._counts = torch.zeros(logits.numel(), dtype=torch.int32, device=self._device)
        run_biases(
            logits,
            step.places,
            self._tensors[0],
            numbers,
            number_rows,
            history.tokens,
            unused.order if history.text is None else history.text,
            history.start,
            history.prompt_end,
            history.end,
            lengths,
            *self._tensors[4:7],
            roots[0],
            windows[0],
            roots[1],
            windows[1],
            [automata.next, automata.hit, *automata[2:]],
            self._flags,
            self._before,
            most,
            self._counts,
        )

    def _run_chain(
        self, logits: Tensor, step: ChainStep, inputs: Inputs, numbers: Tensor, number_rows: Tensor
    ) -> None:
        from temperament.kernels.run_chain import run_chain

        rows = logits.shape[0]
        programs, _, seeds, protected = self._tensors[:4]
        unused = self._unused(rows)
        zeros, history = unused.zeros, inputs.history or unused.history
        entries, banks = zeros, []
        for stage in ("mirostat", "adaptive_p"):
            bank = [unused.doubles, unused.floats, unused.floats, zeros, zeros]
            state = inputs.states.get(stage)
            if state is not None:
                bank = [state.value, state.logits, state.normaliser, state.generated, state.source]
                entries = state.destination
            banks.append(bank)
        newline = unused.flags
        if inputs.vocabulary is not None:
            newline = inputs.vocabulary.newline_bytes
        lists = self._room(*logits.shape)
        if step.ordered and len(self._sorted[0]) < 2 * logits.numel():
            values = torch.empty(2 * logits.numel(), device=self._device)
            self._sorted = values, torch.empty_like(values, dtype=torch.int32)
        run_chain(
            logits,
            step.places,
            programs,
            numbers,
            number_rows,
            seeds,
            entries,
            history.tokens,
            unused.order if history.text is None else history.text,
            history.prompt_end,
            history.end,
            *banks,
            protected,
            newline,
            *lists,
            *self._sorted,
        )

    def _at(self, places: Tensor, position: Tensor) -> Tensor:
        """Returns [rows, columns] float64: the numbers of each row at its position."""
        from temperament.kernels.follow_schedules import follow_schedules

        numbers: Tensor = follow_schedules(self._tensors[1], *self._tensors[7:], places, position)
        return numbers

    def _room(self, rows: int, vocabulary: int) -> tuple[Tensor, Tensor]:
        if (rows, vocabulary) not in self._rooms:
            from temperament.kernels.run_chain import sizes

            size = rows * sizes(vocabulary).capacity
            if self._left is None or len(self._left[0]) < size:
                values = torch.empty(size, device=self._device)
                self._left = values, torch.empty_like(values, dtype=torch.int32)
                self._rooms.clear()
            self._rooms[rows, vocabulary] = self._left
        return self._rooms[rows, vocabulary]

    def _unused(self, rows: int) -> _Unused:
        if rows not in self._nothing:
            if len(self._nothing) > 1024:
                self._nothing.clear()
            self._nothing[rows] = _Unused.of(rows, self._device)
        return self._nothing[rows]


def no_tables(device: torch.device) -> list[Tensor]:
    """Returns the tables of no modes, of the types of `Tables.for_kernel`."""
    long, wide = (torch.zeros(2, dtype=t, device=device) for t in (torch.int64, torch.int32))
    short = torch.zeros(2, dtype=torch.int8, device=device)
    automata = [wide[None], wide, long, long, long, wide, wide]
    rest = [long, long[None], long, long, long, long, long, long, long]
    return [*automata, *rest, short, long, long, long]


class _Unused(NamedTuple):
    """Tensors in place of inputs that no row reads."""

    # [rows] each
    zeros: Tensor
    order: Tensor  # 0, 1, ...
    floats: Tensor
    doubles: Tensor
    # [1]
    flags: Tensor
    # [rows, 1]
    lengths: Tensor
    # of no tokens
    history: History
    # of no texts
    automata: Automata

    @classmethod
    def of(cls, rows: int, device: torch.device) -> _Unused:
        zeros = torch.zeros(rows, dtype=torch.int64, device=device)
        small, none = (torch.zeros(1, 1, dtype=t, device=device) for t in (torch.int32, torch.bool))
        long = torch.zeros(2, dtype=torch.int64, device=device)
        return cls(
            zeros,
            torch.arange(rows, device=device),
            torch.zeros(rows, device=device),
            torch.zeros(rows, dtype=torch.float64, device=device),
            torch.zeros(1, dtype=torch.int8, device=device),
            torch.zeros(rows, 1, dtype=torch.int32, device=device),
            History(zeros[:, None], zeros, zeros, zeros),
            Automata(small, none, long, long, long, small[0], none[0]),
        )


def extend_matches(
    lengths: Tensor, known: Tensor, slots: Tensor, before: Tensor, history: History, longest: int
) -> Tensor:
    """Returns the suffix matches of a batch after each row's last token: [rows, longest] int32.

    `lengths` ([slots, capacity] int32) has every slot's matches after the first `known` ([slots]
    int64) of its tokens. Both are brought up to the slot's last token, draft tokens excluded.
    `slots` ([rows] int64) is the slot of each row, and `before` ([rows]) the number of draft tokens
    before it. No row has more than `longest` tokens; what lies after a row's end is undefined. The
    history's rows have a text each (`History.text`).
    """
    from temperament.kernels.extend_matches import extend_matches as run

    texts, tokens = history.text, history.tokens
    assert texts is not None
    result: Tensor = run(
        lengths, known, slots, before, tokens, texts, history.start, history.end, longest
    )
    return result


def append_tokens(
    table: Tensor, prompts: Tensor, rows: StepRows, known: Tensor, history: History
) -> None:
    """Brings the history of a batch up to each row's last token.

    `table` ([slots, positions]) has the committed tokens of every slot, `prompts` ([slots]) their
    prompts' lengths. The history has a text for each slot, whose first `known` ([slots] int64)
    tokens are written already. Its fields with a number for each row are written anew.
    """
    from temperament.kernels.append_tokens import append_tokens as run

    assert history.text is not None
    run(
        table,
        prompts,
        *rows,
        history.tokens,
        known,
        history.text,
        history.prompt_end,
        history.end,
    )


def advance_modes(
    packed: Tensor,
    slots: Tensor,
    before: Tensor,
    history: History,
    tables: list[Tensor],
    most: int,
    drafts: int,
    switched: Tensor,
) -> tuple[Tensor, Tensor]:
    """Returns (the mode in which each row draws its next token, how many tokens that has had).

    `packed` ([slots, width] int64) has every slot's state, which is brought up to its tokens
    without draft tokens; at most `most` are new, and at most `drafts` are draft tokens. `slots`
    and `before` ([rows]) are as in `extend_matches`. `switched` (int64) grows by the number of
    switches.
    """
    from temperament.kernels.advance_modes import advance_modes as run

    texts = history.text
    assert texts is not None
    rows = (history.tokens, texts, history.prompt_end, history.end)
    drawn: tuple[Tensor, Tensor] = run(packed, slots, before, *rows, tables, most, drafts, switched)
    return drawn
