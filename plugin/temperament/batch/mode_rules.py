"""Rules on the device: each row takes at most one of them, and its mode switches.

`state` is changed in place. Where a branch costs nothing, a step in which no row switches ends
early.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.batch.mode_state import ModeState
from temperament.batch.mode_tables import Tables
from temperament.ops.blocks import branches
from temperament.plan.automata.mode_automaton import NO_RULE, SAME_MODE, TO_BACK
from temperament.presets.modes import MAX_DEPTH, MAX_MODES


def mode_index(state: ModeState) -> Tensor:
    """Returns [rows] int64: the place of each row's mode in `Tables.counting`."""
    return state.automaton * MAX_MODES + state.mode


def earlier_rule(one: Tensor, other: Tensor) -> Tensor:
    """Returns [rows] int64: the rule that is first in the preset; either may be NO_RULE."""
    both = (one != NO_RULE) & (other != NO_RULE)
    return torch.where(both, one.minimum(other), one.maximum(other))


def can_take(tables: Tables, state: ModeState, rules: Tensor) -> Tensor:
    """Returns [rows, n] bool: which of n rules for each row (or NO_RULE) switch its mode.

    A rule to `back` does nothing if there is no mode to return to.
    """
    back = tables.target[rules.clamp_min(0)] == TO_BACK
    return (rules != NO_RULE) & ~(back & (state.depth == 0)[:, None])


def switch(tables: Tables, state: ModeState, rule: Tensor, count: Tensor) -> Tensor:
    """Switches rows by a rule each; returns [rows] bool: which of them switched.

    `rule` ([rows] int64) is NO_RULE for a row that stays in its mode. `count` ([rows] int64) is the
    number of output tokens that were read.
    """
    takes = can_take(tables, state, rule[:, None])[:, 0]
    if branches(takes) and not bool(takes.any()):
        return takes
    rule = rule.clamp_min(0)
    target = tables.target[rule]
    back = target == TO_BACK
    _push_or_pop(state, target, takes & ~back, takes & back)
    entered = (count - tables.before[rule].long()).clamp_min(0)
    state.entered = torch.where(takes, entered, state.entered)
    state.steps_high = torch.where(takes, 0, state.steps_high)
    state.steps_low = torch.where(takes, 0, state.steps_low)
    return takes


def _push_or_pop(state: ModeState, target: Tensor, push: Tensor, pop: Tensor) -> None:
    """Puts the modes of rows on their stacks and enters `target`, or returns to the mode on top.

    `push` and `pop` are [rows] bool, and never both true. A full stack forgets its oldest mode.
    """
    previous = state.previous_mode()
    above, below = (state.top + 1) % MAX_DEPTH, (state.top - 1) % MAX_DEPTH
    is_above = torch.arange(MAX_DEPTH, device=target.device) == above[:, None]
    state.stack = torch.where(is_above & push[:, None], state.mode[:, None], state.stack)
    state.mode = torch.where(push, target, torch.where(pop, previous, state.mode))
    state.top = torch.where(push, above, torch.where(pop, below, state.top))
    state.depth = (state.depth + push.long() - pop.long()).clamp_max(MAX_DEPTH)


def begin_modes(tables: Tables, state: ModeState, switched: Tensor) -> None:
    """Sets the automata of the rows that switched ([rows] bool) to where a mode begins.

    For rules that act at the end of a token. At a mark within a token, the mark has that state.
    """
    if branches(switched) and not bool(switched.any()):
        return
    begun = tables.after_switch[tables.root[state.automaton] + state.state]
    state.state = torch.where(switched, begun, state.state)


def next_mode(tables: Tables, state: ModeState, count: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mode in which each row draws its next token, and the position in the mode.

    [rows] int64 each. `count` ([rows] int64) is the number of output tokens. A rule that takes
    effect before its trigger's last token applies to every token that may complete the trigger.
    """
    position = (count - state.entered).clamp_min(0)
    if not tables.any_pending:
        return state.mode, position
    target = tables.pending[tables.root[state.automaton] + state.state, state.mode]
    back, empty = target == TO_BACK, state.depth == 0
    mode = torch.where(back, state.previous_mode(), target)
    stays = (target == SAME_MODE) | (back & empty)
    return torch.where(stays, state.mode, mode), torch.where(stays, position, 0)
