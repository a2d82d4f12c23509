"""The rows of the requests in a manager of Transformers' continuous batching.

The manager doesn't say that a request has ended, was cancelled or lost its cache (*offloaded*). So
a request gets a slot when it is first to draw a token, and loses it when another needs the slot:
first those that the scheduler no longer knows, then those that aren't in the batch. What the tokens
don't determine is kept until the request comes back.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Slots
from temperament.batch.request import request_of, sample_seed, seed_of
from temperament.batch.rows import Rows
from temperament.batch.states import Snapshot
from temperament.engines.guard import Guard
from temperament.presets import Preset

logger = logging.getLogger("temperament.transformers")

NO_PRESET = -1
# The ids that the manager gives to the further samples of a request.
_SAMPLE = re.compile(r"__child#(\d+)$")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A request's preset, resolved and checked, and its seed: None is that of the preset."""

    preset: Preset
    seed: int | None = None

    def __deepcopy__(self, _memo: object) -> Chosen:
        """Nothing in it changes. The manager copies a request's arguments for each sample."""
        return self


@dataclass(slots=True)
class _Known:
    """A request that has drawn a token, or is about to."""

    state: Any
    seed: int
    slot: int = NO_PRESET
    # whether its stages or modes read its tokens
    follows: bool = False
    # for a request without a slot: what its tokens don't determine
    saved: Snapshot = field(default_factory=dict)


class Counts:
    """What the guard counts."""

    def __init__(self) -> None:
        self.fallbacks: Counter[str] = Counter()  # by stage

    def step(self, seconds: float, switches: int) -> None:
        """Does nothing: the time of a step isn't read here."""

    def fallback(self, stage: str) -> None:
        """Counts a request that lost its preset to an error in `stage`."""
        self.fallbacks[stage] += 1


class BatchedRows:
    """The rows of a manager's requests, in `slots` slots: at least as many as a batch has requests.

    `choose` returns the preset of a request from the arguments that it came with. `lives` returns
    whether the scheduler still knows a request's id.
    """

    def __init__(
        self,
        build: Callable[[], Rows],
        slots: int,
        choose: Callable[[Mapping[str, Any]], Chosen],
        lives: Callable[[str], bool],
        counts: Counts,
    ) -> None:
        self._build = build
        self._rows = build()
        self._choose = choose
        self._lives = lives
        self._known: dict[str, _Known] = {}
        # slot -> the id of its request
        self._ids: dict[int, str] = {}
        self._free = list(range(slots - 1, -1, -1))
        self._guard = Guard(logger, counts, self._give_up, self._restart)

    def __len__(self) -> int:
        return len(self._known)

    def place(self, states: Sequence[Any]) -> Slots:
        """Returns [requests] the slot of each request of a batch, `NO_PRESET` for one without.

        `states` are the manager's `RequestState`s that draw a token in this batch, in order.
        """
        slots = np.full(len(states), NO_PRESET, dtype=np.int64)
        present = {state.request_id for state in states}
        for number, state in enumerate(states):
            if "preset" in state.logit_processor_kwargs:
                slots[number] = self._slot_of(state, present)
        return slots

    def run(self, logits: Tensor, slots: Slots) -> Tensor:
        """Runs the presets of the requests in `slots`: [rows, vocab] float32, changed in place."""
        if not self._rows.active(slots):
            return logits

        def rows_of(slot: int) -> Tensor:
            return torch.from_numpy(np.flatnonzero(slots == slot)).to(logits.device)

        return self._guard.run(logits, slots, self._step, rows_of, lambda: self._rows.switches)

    def _step(self, logits: Tensor, slots: Slots, _rows: Tensor | None) -> Tensor:
        self._catch_up(slots.tolist())
        return self._rows.run(logits, slots)

    def _slot_of(self, state: Any, present: set[str]) -> int:
        name = state.request_id
        known = self._known.get(name)
        if known is not None and known.state is not state and not _continues(known.state, state):
            self._leave(name)  # another request, with the id of one that has ended
            del self._known[name]
            known = None
        if known is not None and known.slot != NO_PRESET and known.state is state:
            return known.slot
        if known is None:
            self._sweep()
            known = self._known[name] = _Known(state, seed=0)
            known.slot = self._take(name, present)
            self._guard.attempt(known.slot, partial(self._enter, known, new=True))
            return known.slot
        self._leave(name)  # it lost its cache: its tokens are now in another `RequestState`
        known.state = state
        known.slot = self._take(name, present)
        self._guard.attempt(known.slot, partial(self._enter, known, new=False))
        return known.slot

    def _take(self, name: str, present: set[str]) -> int:
        """Returns a free slot; makes one free if need be."""
        if not self._free:
            absent = next(other for other in self._ids.values() if other not in present)
            self._leave(absent)
        slot = self._free.pop()
        self._ids[slot] = name
        return slot

    def _enter(self, known: _Known, *, new: bool) -> None:
        state = known.state
        chosen = self._choose(state.logit_processor_kwargs)
        if new:
            seed = seed_of(chosen.preset) if chosen.seed is None else chosen.seed
            sample = _SAMPLE.search(state.request_id)
            known.seed = sample_seed(seed, 1 + int(sample[1]) if sample else 0)
        prompt, output = _text(state)
        request = request_of(chosen.preset, _ends(state))
        limit = state.max_new_tokens
        if limit is not None:  # the manager counts only what isn't part of `initial_tokens`
            limit += len(output) - len(state.generated_tokens)
            request = replace(request, limit=limit)
        self._rows.write(known.slot, replace(request, seed=known.seed), prompt, output)
        if known.saved:
            self._rows.restore(known.slot, known.saved)
            known.saved = {}
        known.follows = self._rows.follows(known.slot)

    def _leave(self, name: str) -> None:
        """Frees the slot of a request, and keeps what its tokens don't determine."""
        known = self._known[name]
        slot, known.slot = known.slot, NO_PRESET
        if slot == NO_PRESET:
            return
        self._guard.attempt(slot, partial(self._save, known, slot))
        self._guard.attempt(slot, partial(self._rows.clear, slot))
        del self._ids[slot]
        self._free.append(slot)

    def _save(self, known: _Known, slot: int) -> None:
        known.saved = self._rows.save(slot) if self._rows.remembers(slot) else {}

    def _sweep(self) -> None:
        """Forgets the requests that the scheduler no longer knows."""
        for name in [name for name in self._known if not self._lives(name)]:
            self._leave(name)
            del self._known[name]

    def _catch_up(self, slots: Sequence[int]) -> None:
        """Appends the tokens that requests have drawn since their last step."""
        states = [
            (slot, known.state) for slot in slots if (known := self._known[self._ids[slot]]).follows
        ]
        if not states:
            return
        log = self._rows.log
        where = np.array([slot for slot, _ in states])
        new = np.array([_length(state) for _, state in states]) - log.ends[where]
        if (new == 1).any():
            last = [_last(state) for (_, state), n in zip(states, new, strict=True) if n == 1]
            log.append(torch.tensor(last).to(log.device), where[new == 1])
        for (slot, state), count in zip(states, new, strict=True):
            if count not in (0, 1):
                self._rows.rewrite_output(slot, _text(state)[1])

    def _give_up(self, slot: int) -> str:
        label = self._rows.label(slot)
        known = self._known[self._ids[slot]]
        known.follows, known.saved = False, {}
        self._rows.clear(slot)
        return label or "a request"

    def _restart(self) -> None:
        self._rows = self._build()
        for known in self._known.values():
            known.follows, known.saved = False, {}


def _length(state: Any) -> int:
    return len(state.initial_tokens) + len(state.generated_tokens)


def _last(state: Any) -> int:
    return int((state.generated_tokens or state.initial_tokens)[-1])


def _text(state: Any) -> tuple[list[int], list[int]]:
    """Returns a request's (prompt, output).

    A request that lost its cache has its output after the prompt, in `initial_tokens`.
    """
    tokens = state.initial_tokens
    middle = state._true_initial_tokens or len(tokens)
    return tokens[:middle], [*tokens[middle:], *state.generated_tokens]


def _continues(before: Any, state: Any) -> bool:
    """Returns whether a request is the one that had this id before, after it lost its cache."""
    if not state._true_initial_tokens:
        return False
    return _text(before)[0] == _text(state)[0] and _length(before) <= _length(state)


def _ends(state: Any) -> list[int]:
    ends = state.eos_token_id
    return [end for end in ([ends] if isinstance(ends, int) else ends or ()) if end >= 0]
