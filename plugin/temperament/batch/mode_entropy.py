"""Rules on entropy: they count steps whose entropy is above or below a mode's bounds.

A runner may repeat a step with other logits: a prompt that is processed in parts has a step for
each part. And a draft token may be rejected. So a step's entropy is recorded first, and counted
only when the next token is read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.batch.drafts import Drafts
from temperament.batch.mode_rules import begin_modes, earlier_rule, mode_index, switch
from temperament.batch.mode_state import ModeState
from temperament.batch.mode_tables import Tables
from temperament.ops.cut import entropy
from temperament.plan.automata.mode_automaton import NO_RULE


def record(
    state: ModeState,
    rows: Tensor,
    position: Tensor,
    logits: Tensor,
    slots: Tensor,
    drafts: Drafts | None,
) -> None:
    """Records the entropy of this step's logits ([rows, vocab]) in `rows` ([rows] bool).

    With drafts a slot has several rows; each of them records the entropies of all. `position`
    ([rows] int64) is the position of the slot's row without draft tokens.
    """
    nats = entropy(logits)[2][:, 0].double().view(torch.int64)
    steps = state.nats.shape[1]
    # [rows, steps]: how many draft tokens come before the step at this place of the ring
    before = (torch.arange(steps, device=nats.device) - position[:, None]) % steps
    if drafts is None:
        nats, known = nats[:, None], before == 0
    else:
        nats = nats[drafts.row[slots[:, None], before]]
        known = before < drafts.count[slots][:, None]
    known = known & rows[:, None]
    state.nats = torch.where(known, nats, state.nats)
    state.nats_position = torch.where(known, position[:, None] + before, state.nats_position)


def count(tables: Tables, state: ModeState, rows: Tensor, position: Tensor) -> None:
    """Counts the step at `position` ([rows] int64), and switches by the rules on entropy.

    This happens in `rows` ([rows] bool), where a step of that position was recorded.
    """
    counting, mode = tables.counting, mode_index(state)
    place = (position % state.nats.shape[1])[:, None]
    recorded = state.nats_position.gather(1, place)[:, 0]
    counted = rows & (position >= 0) & (recorded == position)
    nats = state.nats.gather(1, place)[:, 0].view(torch.float64)
    high = torch.where(nats > counting.above[mode], state.steps_high + 1, 0)
    low = torch.where(nats < counting.below[mode], state.steps_low + 1, 0)
    state.steps_high = torch.where(counted, high, state.steps_high)
    state.steps_low = torch.where(counted, low, state.steps_low)
    is_high = counted & (high >= counting.above_steps[mode])
    is_low = counted & (low >= counting.below_steps[mode])
    above = torch.where(is_high, counting.above_rule[mode], NO_RULE)
    below = torch.where(is_low, counting.below_rule[mode], NO_RULE)
    switched = switch(tables, state, earlier_rule(above, below), position)
    begin_modes(tables, state, switched)
