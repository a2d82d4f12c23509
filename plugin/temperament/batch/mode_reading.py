"""Reads one token of every row: the triggers within it, then the rules that count tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from temperament.batch.mode_rules import begin_modes, can_take, earlier_rule, mode_index, switch
from temperament.batch.mode_state import ModeState
from temperament.batch.mode_tables import Tables
from temperament.batch.suffix_matches import rebuild
from temperament.ops.blocks import branches
from temperament.ops.history import History
from temperament.plan.automata.mode_automaton import NO_RULE
from temperament.plan.automata.triggers import NO_TOKEN, SAME_STATE


@dataclass(frozen=True, slots=True)
class TokenReader:
    """Reads the tokens of a batch, one of each row at a time; changes the rows' state in place."""

    tables: Tables
    history: History
    # whether a row has a rule on repetitions
    finds_repeats: bool
    # [rows, positions], the suffix matches after the token, or None: they are found from the tokens
    matches: Tensor | None

    def read(self, state: ModeState, rows: Tensor) -> None:
        """Reads the next token of some rows ([rows] bool); the others stay as they are."""
        token = torch.where(rows, self.history.token_at(state.read), NO_TOKEN)
        state.read = state.read + rows
        count = state.read - self.history.prompt_end
        switched = self._read_bytes(state, token, count)
        if self.tables.any_limit or self.finds_repeats:
            self._count_tokens(state, rows & ~switched & (count > 0), count)

    def _read_bytes(self, state: ModeState, token: Tensor, count: Tensor) -> Tensor:
        """Reads [rows] tokens; returns [rows] bool: which rows switched.

        A token has at most `longest_event` marks. Each pass reads up to the next mark at which a
        row switches, and leaves the rest of the token to the next pass, in the new mode.
        """
        switched = torch.zeros_like(token, dtype=torch.bool)
        for _ in range(self.tables.longest_event + 1):
            if branches(token) and not bool((token != NO_TOKEN).any()):
                break
            token, switches = self._read_to_switch(state, token, count)
            switched = switched | switches
        return switched

    def _read_to_switch(
        self, state: ModeState, token: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Reads [rows] tokens up to the first mark at which the row's mode ends.

        Returns ([rows] int64: the rest of the token, NO_TOKEN where nothing is left;
        [rows] bool: which rows switched). A row that doesn't switch has read all of its token.
        """
        tables, automaton = self.tables, state.automaton
        after_token, event = tables.step(automaton, state.state, token)
        if branches(event) and not bool(event.any()):
            state.state = after_token
            return torch.full_like(token, NO_TOKEN), torch.zeros_like(token, dtype=torch.bool)
        # The marks within the token, and the rule that each of them sets off in the row's mode.
        marks = tables.marks[event]  # [rows, longest event]
        rules = tables.choice[marks, state.mode[:, None]]  # [rows, longest event]
        # Only the first mark whose rule can be taken counts.
        taken = can_take(tables, state, rules)
        first = taken.int().argmax(1, keepdim=True)  # [rows, 1]
        rule = torch.where(taken, rules, NO_RULE).gather(1, first)[:, 0]
        switches = switch(tables, state, rule, count)
        # The text goes on from the mark. Where the mark is at the token's end and has no state, it
        # goes on from the state after the token.
        after_mark = tables.after_mark[marks.gather(1, first)[:, 0]]
        at_end = tables.after_switch[tables.root[automaton] + after_token]
        after_switch = torch.where(after_mark == SAME_STATE, at_end, after_mark)
        state.state = torch.where(switches, after_switch, after_token)
        rest = tables.rest(automaton, token, tables.mark_ends[event].gather(1, first)[:, 0])
        return torch.where(switches, rest, NO_TOKEN), switches

    def _count_tokens(self, state: ModeState, rows: Tensor, count: Tensor) -> None:
        """Switches some rows ([rows] bool) by the rules on numbers of tokens and on repetitions."""
        counting, mode = self.tables.counting, mode_index(state)
        over = count - state.entered >= counting.limit[mode]
        rule = torch.where(rows & over, counting.limit_rule[mode], NO_RULE)
        if self.finds_repeats:
            repeats = rows & self._repeats(state, mode)
            rule = earlier_rule(rule, torch.where(repeats, counting.repeat_rule[mode], NO_RULE))
        begin_modes(self.tables, state, switch(self.tables, state, rule, count))

    def _repeats(self, state: ModeState, mode: Tensor) -> Tensor:
        """Returns [rows] bool: whether the last `span` tokens occur `times` times in the output."""
        counting, history, matches = self.tables.counting, self.history, self.matches
        if matches is None:
            # A row whose known tokens are processed again in parts has read more than its history.
            end = state.read.minimum(history.end)
            matches = rebuild(replace(history, end=end).divided())
        span = counting.span[mode]
        position = torch.arange(matches.shape[1], device=matches.device)
        in_output = position >= (history.prompt_end + span - 1)[:, None]
        in_output &= position < history.end[:, None]
        earlier = (in_output & (matches >= span[:, None])).sum(1)
        return earlier >= counting.times[mode] - 1
