"""Automata over the vocabulary's tokens as tensors, and the texts of each row that they find.

`temperament.plan.automata` builds them; each step here is a few gathers for all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.history import History


class Automata(NamedTuple):
    """The automata of several sets of texts over one vocabulary.

    Most tokens lead to the same state from every state of a set as from the set's root. The few
    that don't are listed for each state as its exceptions. The methods take `most`, the largest
    number of exceptions of a state; 0 skips the search for them.
    """

    # [sets, tokens] int32: the state after a token, from the root
    next: Tensor
    # [sets, tokens] bool: whether a text ends within the token, from the root
    hit: Tensor
    # [states] int64: the set that a state belongs to
    set_of: Tensor
    # [states + 1] int64: where the exceptions of each state begin
    offset: Tensor
    # [exceptions] int64, ascending: state * tokens + token
    key: Tensor
    # [exceptions] int32: the state after the token
    other_next: Tensor
    # [exceptions] bool: whether a text ends within the token
    other_hit: Tensor

    def after(self, state: Tensor, token: Tensor, most: int) -> Tensor:
        """Returns int64: the state after a token."""
        return self._read(self.next, self.other_next, state, token, most).long()

    def ends(self, state: Tensor, token: Tensor, most: int) -> Tensor:
        """Returns bool: whether a text ends within a token."""
        return self._read(self.hit, self.other_hit, state, token, most)

    def ending(self, state: Tensor, most: int) -> Tensor:
        """Returns [rows, tokens] bool: the tokens in which a text ends, from [rows] states."""
        mask = self.hit.index_select(0, self.set_of[state])
        if not most:
            return mask
        first, end = self.offset[state][:, None], self.offset[state + 1][:, None]
        index = first + torch.arange(most, device=state.device)
        # A state with fewer exceptions repeats its last one; a state without any writes token 0
        # with the value that it has.
        index = index.minimum(end - 1).clamp_min(0)
        token = torch.where(end > first, self.key[index] % self.next.shape[1], 0)
        value = torch.where(end > first, self.other_hit[index], mask[:, :1])
        return mask.scatter_(1, token, value)

    def _read(
        self, plain: Tensor, other: Tensor, state: Tensor, token: Tensor, most: int
    ) -> Tensor:
        value = plain[self.set_of[state], token]
        if not most:
            return value
        key = state * self.next.shape[1] + token
        index = torch.searchsorted(self.key, key).clamp_max(self.key.shape[0] - 1)
        return torch.where(self.key[index] == key, other[index], value)


@dataclass(slots=True)
class Texts:
    """Texts for each row, found in the bytes of the vocabulary's tokens.

    A row's state follows from its last `window` tokens: no text has more than `window` bytes
    before its last one, and a token either has a byte at least or resets the automaton.
    """

    automata: Automata
    # [rows] int64: the state of the row's automaton in which nothing is matched
    root: Tensor
    # -1 if no row has a text
    window: int
    # the most exceptions that a state has
    exceptions: int

    def ending(self, history: History, start: Tensor, vocabulary: int) -> Tensor:
        """Returns [rows, vocabulary] bool: the next tokens in which a text would end.

        The text may begin at `start` ([rows] int64) or later.
        """
        if self.window < 0:
            return self.root.new_zeros(self.root.shape[0], vocabulary, dtype=torch.bool)
        state = self._states(history, start)
        mask = self.automata.ending(state, self.exceptions)[:, :vocabulary]
        return torch.nn.functional.pad(mask, (0, vocabulary - mask.shape[1]))

    def completes(self, history: History, row: Tensor, token: Tensor) -> Tensor:
        """Returns [n] bool: whether a text of `row` would end in `token` ([n] int64 each)."""
        if self.window < 0:
            return torch.zeros_like(token, dtype=torch.bool)
        return self._ends(self._states(history, history.start)[row], token)

    def last_hit(self, history: History) -> Tensor:
        """Returns [rows] int64: the last position in whose token a text ends, -1 without one."""
        tokens = history.tokens
        if self.window < 0:
            return torch.full_like(history.end, -1)
        state = self.root[:, None].expand(tokens.shape)
        position = torch.arange(tokens.shape[1], device=tokens.device)
        inside = (position >= history.start[:, None]) & (position < history.end[:, None])
        for back in range(min(self.window, tokens.shape[1] - 1), 0, -1):
            earlier = position - back
            token = tokens.gather(1, earlier.clamp_min(0).expand(tokens.shape))
            counts = inside & (earlier >= history.start[:, None])
            state = self._follow(state, token, counts)
        return torch.where(inside & self._ends(state, tokens), position, -1).amax(1)

    def _states(self, history: History, start: Tensor) -> Tensor:
        state = self.root
        longest = history.tokens.shape[1]
        for back in range(min(self.window, longest), 0, -1):
            position = history.end - back
            token = history.tokens.gather(1, position.clamp(0, longest - 1)[:, None])[:, 0]
            state = self._follow(state, token, position >= start)
        return state

    def _follow(self, state: Tensor, token: Tensor, counts: Tensor) -> Tensor:
        known = self._knows(token)
        after = self.automata.after(state, torch.where(known, token, 0), self.exceptions)
        # An id outside the vocabulary has no bytes: it resets the automaton like a special token.
        root = self.root.reshape(-1, *[1] * (state.ndim - 1))
        return torch.where(counts, torch.where(known, after, root), state)

    def _ends(self, state: Tensor, token: Tensor) -> Tensor:
        known = self._knows(token)
        return known & self.automata.ends(state, torch.where(known, token, 0), self.exceptions)

    def _knows(self, token: Tensor) -> Tensor:
        return (token >= 0) & (token < self.automata.next.shape[1])
