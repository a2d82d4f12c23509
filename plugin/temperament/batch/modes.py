"""The mode of every row, followed on the device by a few gathers a token, without waiting for it.

What a text did before its request came into the batch is read once on the host
(`plan.automata.tracer.Tracer`); from then on each new token is one step of the row's state here.
The two agree token for token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.machines import Machines
from temperament.batch.matches import rebuild
from temperament.ops.blocks import branches
from temperament.ops.cut import entropy
from temperament.ops.history import History
from temperament.plan.automata.modes import (
    NO_RULE,
    SAME_MODE,
    TO_BACK,
    ModeAutomaton,
    Switching,
    mode_automaton,
)
from temperament.plan.automata.tracer import Tracer
from temperament.plan.automata.triggers import NO_TOKEN
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.modes import MAX_DEPTH

# The numbers that are kept of a slot.
_MACHINE = 0  # which machine follows it, -1 for none
_MODE = 1
_STATE = 2  # of the machine's automaton
_ENTERED = 3  # the token of the output at which the mode began
_READ = 4  # how many tokens of the history were read
_TOP, _SIZE = 5, 6  # of the stack, a ring
_HIGH, _LOW = 7, 8  # steps in a row with entropy over and under the mode's bounds
# The entropy of the last step, as the bits of a float64, and that step's position. It counts once
# the next token is read: a step may come twice, its logits those of a part of the prompt at first.
_NATS, _WEIGHED = 9, 10
_STACK = 11
_FIELDS = _STACK + MAX_DEPTH

Slots = np.ndarray[Any, np.dtype[np.int64]]
Fields = list[Tensor]  # by number, [rows] int64 each


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the rows of a batch are drawn in."""

    # [rows] int64
    mode: Tensor
    # [rows] int64: how many tokens the mode has had
    position: Tensor


class Modes:
    """The modes of the requests in `slots` slots."""

    def __init__(
        self,
        slots: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._machines = Machines(device)
        # [slots + 1, fields]: the last one is written by rows that shall leave no trace
        self._kept = torch.zeros(slots + 1, _FIELDS, dtype=torch.int64, device=device)
        self._kept[:, _MACHINE] = -1
        self._of: dict[int, ModeAutomaton] = {}
        # [slots] on the host: whether a slot has modes, and rules on repetitions and on entropy
        self._modal = np.zeros(slots, dtype=np.bool_)
        self._repeating = np.zeros(slots, dtype=np.bool_)
        self._entropic = np.zeros(slots, dtype=np.bool_)
        # [slots] on the host: how many tokens were read, where the host knows it
        self.known = np.zeros(slots, dtype=np.int64)
        # int64: how often a mode has switched, on the device and what the host knows of it
        self._switched = torch.zeros((), dtype=torch.int64, device=device)
        on_device = self._switched.device.type != "cpu"
        self._switched_known = (
            torch.zeros((), dtype=torch.int64, pin_memory=True) if on_device else self._switched
        )

    def __bool__(self) -> bool:
        """Whether any slot has modes."""
        return bool(self._of)

    @property
    def switches(self) -> int:
        """How often a mode has switched; on a device's, up to the last time that this was asked."""
        known = int(self._switched_known)
        if self._switched_known is not self._switched:
            self._switched_known.copy_(self._switched, non_blocking=True)
        return known

    def write(self, slot: int, switching: Switching) -> None:
        """A request with modes takes a slot; `read` tells what it has of tokens."""
        asks = self._vocabulary if switching.why_tokenizer else None
        made = mode_automaton(switching, None if asks is None else asks())
        self._set(slot, made)
        self._machines.use(made, in_use=self._of.values())
        self.read(slot, [], [], 0)

    def read(self, slot: int, prompt: list[int], output: list[int], end: int) -> None:
        """Sets a slot to where its tokens lead; the history is read up to position `end`."""
        text = Tracer(self._of[slot])
        text.read_prompt(prompt)
        text.read(output)
        row = [0] * _FIELDS
        row[_MACHINE] = self._machines.number(self._of[slot])
        row[_MODE], row[_STATE], row[_ENTERED], row[_READ] = (
            text.mode,
            text.state,
            text.entered,
            end,
        )
        row[_SIZE] = len(text.stack)
        row[_TOP] = len(text.stack) - 1
        row[_STACK : _STACK + len(text.stack)] = text.stack
        row[_WEIGHED] = -1
        self._kept[slot] = torch.tensor(row, dtype=torch.int64).to(self._kept.device)
        self.known[slot] = end

    def clear(self, slot: int) -> None:
        """The slot has no modes."""
        if self._modal[slot]:
            self._set(slot, None)
            self._kept[slot, _MACHINE] = -1

    def _set(self, slot: int, made: ModeAutomaton | None) -> None:
        if made is None:
            self._of.pop(slot, None)
        else:
            self._of[slot] = made
        self._modal[slot] = made is not None
        self._repeating[slot] = made is not None and made.switching.repeats
        self._entropic[slot] = made is not None and made.switching.uses_entropy

    def has(self, slots: Slots) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """[rows] whether a slot has modes."""
        return np.asarray(self._modal[slots])

    def repeats(self, slots: Slots) -> bool:
        """Whether one of the slots has a rule on repetitions."""
        return bool(self._repeating[slots].any())

    def uses_entropy(self, slots: Slots) -> bool:
        """Whether the mode of one of the slots may depend on more than its tokens."""
        return bool(self._entropic[slots].any())

    def save(self, slot: int) -> Tensor:
        """What `restore` needs."""
        return self._kept[slot].clone()

    def restore(self, slot: int, saved: Tensor) -> None:
        """Puts back what `save` gave, for the same request."""
        own = int(self._machines.number(self._of[slot]))
        self._kept[slot] = saved
        self._kept[slot, _MACHINE] = own
        self.known[slot] = int(saved[_READ])

    def swap(self, one: int, other: int) -> None:
        """Two slots change places."""
        pair, turned = [one, other], [other, one]
        self._kept[pair] = self._kept[turned]
        self.known[pair] = self.known[turned]
        first, second = self._of.get(one), self._of.get(other)
        self._set(one, second)
        self._set(other, first)

    def reorder(self, parents: Tensor) -> None:
        """Each slot goes on from the state of another: [slots] int64."""
        self._kept[:-1] = self._kept.index_select(0, parents)

    def advance(
        self,
        history: History,
        slots: Tensor,
        most: int,
        *,
        logits: Tensor | None = None,
        repeats: bool = False,
        repeated: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Drawn:
        """Reads the tokens that are new in the history of a batch whose row i is slot `slots[i]`.

        `most` bounds how many are new in any row. `repeats`: a row has a rule on repetitions;
        `repeated` are the suffix matches ([rows, positions]) at the history's end, without which
        they are found anew. `logits` are given if a row's rule asks for entropy. `keep` ([rows]
        bool) are the rows whose state is that of their slot from now on: all, if None.
        """
        fields = list(self._kept.index_select(0, slots).unbind(1))
        has = fields[_MACHINE] >= 0
        fields[_MACHINE] = fields[_MACHINE].clamp_min(0)
        entered = fields[_ENTERED]
        for _ in range(most):
            live = has & (fields[_READ] < history.end)
            if branches(live) and not bool(live.any()):
                break
            if logits is not None:
                self._weigh(fields, live, fields[_READ] - history.prompt_end)
            self._read_one(fields, live, history, repeats, repeated if most == 1 else None)
        generated = history.end - history.prompt_end
        drawn = list(fields)
        if logits is not None:
            due = has & (fields[_READ] == history.end)
            nats = entropy(logits)[2][:, 0].double().view(torch.int64)
            fields[_NATS] = torch.where(due, nats, fields[_NATS])
            fields[_WEIGHED] = torch.where(due, generated, fields[_WEIGHED])
            drawn = list(fields)
            self._weigh(drawn, due, generated)
        mode, position = drawn[_MODE], (generated - drawn[_ENTERED]).clamp_min(0)
        if self._machines.tables.any_pending:
            mode, position = self._pending(drawn, position)
        fields[_MACHINE] = torch.where(has, fields[_MACHINE], -1)
        switched = fields[_ENTERED] != entered
        self._switched += (switched if keep is None else switched & keep).sum()
        where = slots if keep is None else torch.where(keep, slots, self._kept.shape[0] - 1)
        self._kept.index_copy_(0, where, torch.stack(fields, 1))
        return Drawn(torch.where(has, mode, 0), torch.where(has, position, generated))

    def _read_one(
        self,
        fields: Fields,
        live: Tensor,
        history: History,
        repeats: bool,
        repeated: Tensor | None,
    ) -> None:
        """One more token of the rows that are `live`."""
        used, machine_ = self._machines.tables, fields[_MACHINE]
        place = fields[_READ].clamp(0, history.tokens.shape[1] - 1)
        token = history.tokens.gather(1, place[:, None])[:, 0]
        token = torch.where(live, token, NO_TOKEN)
        fields[_READ] = fields[_READ] + live
        count = fields[_READ] - history.prompt_end
        switched = torch.zeros_like(live)
        for _ in range(used.longest_event + 1):
            # Behind each switch, what is left of the token is followed anew.
            if branches(token) and not bool((token != NO_TOKEN).any()):
                break
            token, switches = self._follow(fields, token, count)
            switched = switched | switches
        if not (used.any_limit or repeats):
            return
        cell = machine_ * used.width + fields[_MODE]
        due = live & ~switched & (count > 0)
        limit_rule = used.counted.limit_rule[cell]
        over = count - fields[_ENTERED] >= used.counted.limit[cell]
        rule = torch.where(due & over, limit_rule, NO_RULE)
        if repeats:
            again = due & self._repeats(fields, cell, history, repeated)
            other = torch.where(again, used.counted.repeat_rule[cell], NO_RULE)
            both = (rule != NO_RULE) & (other != NO_RULE)
            rule = torch.where(both, rule.minimum(other), rule.maximum(other))
        self._clear(fields, self._take(fields, rule, count))

    def _follow(self, fields: Fields, token: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Follows tokens up to their first switch: (what is left of them, which rows switched)."""
        used, machine_ = self._machines.tables, fields[_MACHINE]
        after, event = used.step(machine_, fields[_STATE], token)
        if branches(event) and not bool(event.any()):
            fields[_STATE] = after
            return torch.full_like(token, NO_TOKEN), torch.zeros_like(token, dtype=torch.bool)
        marks = used.marks[event]
        rules = used.choice[marks, fields[_MODE][:, None]]
        back = used.target[rules.clamp_min(0)] == TO_BACK
        taken = (rules != NO_RULE) & ~(back & (fields[_SIZE] == 0)[:, None])
        first = taken.int().argmax(1, keepdim=True)
        rule = torch.where(taken, rules, NO_RULE).gather(1, first)[:, 0]
        switches = self._take(fields, rule, count)
        cleared = used.cleared[marks.gather(1, first)[:, 0]]
        behind = used.cleared_state[used.root[machine_] + after]
        state = torch.where(cleared < 0, behind, cleared)
        fields[_STATE] = torch.where(switches, state, after)
        rest = used.rest(machine_, token, used.places[event].gather(1, first)[:, 0])
        return torch.where(switches, rest, NO_TOKEN), switches

    def _clear(self, fields: Fields, switches: Tensor) -> None:
        """Forgets lines that had begun, where a mode begins."""
        if branches(switches) and not bool(switches.any()):
            return
        used = self._machines.tables
        cleared = used.cleared_state[used.root[fields[_MACHINE]] + fields[_STATE]]
        fields[_STATE] = torch.where(switches, cleared, fields[_STATE])

    def _repeats(
        self, fields: Fields, cell: Tensor, history: History, repeated: Tensor | None
    ) -> Tensor:
        """[rows] whether the last tokens stand as often as the mode's rule says."""
        used = self._machines.tables
        if repeated is None:
            shorter = History(history.tokens, history.start, history.prompt_end, fields[_READ])
            repeated = rebuild(shorter)
        span = used.counted.span[cell]
        position = torch.arange(repeated.shape[1], device=repeated.device)
        inside = position >= (history.prompt_end + span - 1)[:, None]
        found = (inside & (repeated >= span[:, None])).sum(1)
        return found >= used.counted.times[cell] - 1

    def _take(self, fields: Fields, rule: Tensor, count: Tensor) -> Tensor:
        """Follows a rule in the rows that have one; returns which of them switched."""
        used = self._machines.tables
        known = rule.clamp_min(0)
        target = used.target[known]
        back = target == TO_BACK
        takes = (rule != NO_RULE) & ~(back & (fields[_SIZE] == 0))
        if branches(takes) and not bool(takes.any()):
            return takes
        push, pop = takes & ~back, takes & back
        stack = torch.stack(fields[_STACK:], 1)
        top = stack.gather(1, (fields[_TOP] % MAX_DEPTH)[:, None])[:, 0]
        above = (fields[_TOP] + 1) % MAX_DEPTH
        slot = torch.arange(MAX_DEPTH, device=rule.device) == above[:, None]
        stack = torch.where(slot & push[:, None], fields[_MODE][:, None], stack)
        fields[_STACK:] = list(stack.unbind(1))
        fields[_MODE] = torch.where(push, target, torch.where(pop, top, fields[_MODE]))
        fields[_TOP] = torch.where(
            push, above, torch.where(pop, (fields[_TOP] - 1) % MAX_DEPTH, fields[_TOP])
        )
        size = fields[_SIZE] + push.long() - pop.long()
        fields[_SIZE] = size.clamp_max(MAX_DEPTH)
        entered = (count - used.before[known].long()).clamp_min(0)
        fields[_ENTERED] = torch.where(takes, entered, fields[_ENTERED])
        fields[_HIGH] = torch.where(takes, 0, fields[_HIGH])
        fields[_LOW] = torch.where(takes, 0, fields[_LOW])
        return takes

    def _weigh(self, fields: Fields, rows: Tensor, count: Tensor) -> None:
        """Counts a step of high or low entropy, in the `rows` whose last is that of `count`."""
        used = self._machines.tables
        due = rows & (count >= 0) & (fields[_WEIGHED] == count)
        nats = fields[_NATS].view(torch.float64)
        cell = fields[_MACHINE] * used.width + fields[_MODE]
        high = torch.where(nats > used.counted.above[cell], fields[_HIGH] + 1, 0)
        low = torch.where(nats < used.counted.below[cell], fields[_LOW] + 1, 0)
        fields[_HIGH] = torch.where(due, high, fields[_HIGH])
        fields[_LOW] = torch.where(due, low, fields[_LOW])
        above = torch.where(
            due & (high >= used.counted.above_steps[cell]), used.counted.above_rule[cell], NO_RULE
        )
        below = torch.where(
            due & (low >= used.counted.below_steps[cell]), used.counted.below_rule[cell], NO_RULE
        )
        both = (above != NO_RULE) & (below != NO_RULE)
        rule = torch.where(both, above.minimum(below), above.maximum(below))
        self._clear(fields, self._take(fields, rule, count))

    def _pending(self, fields: Fields, position: Tensor) -> tuple[Tensor, Tensor]:
        """(mode, position) where a rule takes effect before its trigger's last token."""
        used = self._machines.tables
        state = used.root[fields[_MACHINE]] + fields[_STATE]
        target = used.pending[state, fields[_MODE]]
        stack = torch.stack(fields[_STACK:], 1)
        top = stack.gather(1, (fields[_TOP] % MAX_DEPTH)[:, None])[:, 0]
        behind = torch.where(fields[_SIZE] > 0, top, fields[_MODE])
        mode = torch.where(target == TO_BACK, behind, target)
        stays = (target == SAME_MODE) | ((target == TO_BACK) & (fields[_SIZE] == 0))
        return torch.where(stays, fields[_MODE], mode), torch.where(stays, position, 0)
