"""Suffix matches: how long a suffix of the history also ends at each earlier position.

Appending a token t gives `length'[i] = length[i - 1] + 1 if history[i] == t else 0`: one pass over
the history for each token, exact for matches of any length. DRY, n-gram bans and the rules on
repetitions read them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Slots, Uploads, to_device
from temperament.batch.device_chains import extend_matches
from temperament.batch.drafts import Drafts
from temperament.batch.kernel_choice import runs_kernels
from temperament.ops.blocks import branches
from temperament.ops.history import History, Matches

SHORT = 64  # the longest match that is found token by token
_UNKNOWN = -1
_FEWEST = 64  # the least capacity of a slot, in positions


class SuffixMatches:
    """The matches of `slots` slots, kept from step to step.

    If a slot's history grew by one token, that takes one pass over it; after any other change, the
    matches are rebuilt. The kernel also takes several tokens in a step, and does the rows of draft
    tokens, of which a request has at most `drafts`.
    """

    def __init__(self, slots: int, device: torch.device | str = "cpu", *, drafts: int = 0) -> None:
        # [slots, capacity] int32
        self._length = torch.zeros(slots, 0, dtype=torch.int32, device=device)
        # [slots] int64: to how many tokens they belong; only the kernel reads it
        self._belong = torch.zeros(slots, dtype=torch.int64, device=device)
        self._most_new = drafts + 1
        self._kernels = runs_kernels(torch.device(device))
        self._uploads = Uploads(torch.device(device))
        # [slots] on the host: the number of tokens to which the slot's matches belong, or more if
        # only the device knows it; or _UNKNOWN
        self._known = np.full(slots, _UNKNOWN, dtype=np.int64)
        # the slots of the last batch, and the `ends` of its next step if every row grows by one
        # token ([rows], and the same as bytes); `_settle` writes them into `_known`
        self._last: tuple[Slots, np.ndarray[Any, Any], bytes] | None = None
        # by the number of rows: 0, 1, ... and zeros, [rows]
        self._plain: dict[int, tuple[Tensor, Tensor]] = {}

    def forget(self, slot: int) -> None:
        """Drops the matches of a slot whose history was replaced."""
        self._settle()
        self._known[slot] = _UNKNOWN

    def reorder(self, parents: Tensor) -> None:
        """Gives each slot the matches of slot `parents[i]` ([slots] int64), of as many tokens."""
        self._length = self._length.index_select(0, parents)

    def update(
        self,
        history: History,
        slots: Slots,
        ends: np.ndarray[Any, Any],
        drafts: Drafts | None = None,
    ) -> Matches:
        """Returns the matches of a batch whose row i is slot `slots[i]` with `ends[i]` tokens.

        With kernels `ends` may be upper bounds, and `drafts` has the rows of the slots, if these
        have more than one. What lies after a row's end is undefined.
        """
        if self._kernels:
            return self._by_kernel(history, slots, ends, drafts)
        self._settle()
        new = ends - self._known[slots]
        index = self._uploads.of("slots", slots)
        longest = history.tokens.shape[1]
        self._reserve(longest)
        if (new == 1).all():
            length = extend(self._length[:, :longest].index_select(0, index), history)
            self._length[index, :longest] = length
            self._done(slots, ends)
            return Matches(length)
        rows = np.flatnonzero(new == 1)
        if len(rows):
            part, part_index = self._part(history, slots, rows)
            old = self._length[:, :longest].index_select(0, part_index)
            self._length[part_index, :longest] = extend(old, part)
        rows = np.flatnonzero((new != 0) & (new != 1))
        if len(rows):
            part, part_index = self._part(history, slots, rows)
            self._length[part_index, :longest] = rebuild(part)
        self._done(slots, ends)
        length = self._length[:, :longest].index_select(0, index)
        # Positions after a row's end may still have an earlier request's matches.
        position = torch.arange(longest, device=length.device)
        return Matches(length.masked_fill_(position >= history.end[:, None], 0))

    def _by_kernel(
        self,
        history: History,
        slots: Slots,
        ends: np.ndarray[Any, Any],
        drafts: Drafts | None,
    ) -> Matches:
        """Returns the same: the kernel knows how many tokens are new to a slot.

        A text that is new, or changed by more tokens, is rebuilt first, since the kernel takes one
        token after another.
        """
        longest, last = history.tokens.shape[1], self._last
        self._reserve(longest)
        if last is None or last[0] is not slots or last[2] != ends.tobytes():
            self._settle()
            known = self._known[slots]
            rows = np.flatnonzero((known == _UNKNOWN) | (np.abs(ends - known) > self._most_new))
            if len(rows):
                self._rebuild(history, slots[rows], rows, drafts)
        index = self._uploads.of("slots", slots) if drafts is None else drafts.slot
        order, before = self._numbers(index.shape[0])
        if drafts is not None:
            before = drafts.before
        if history.text is None:
            history = replace(history, text=order)
        length = extend_matches(self._length, self._belong, index, before, history, longest)
        self._done(slots, ends)
        return Matches(length)

    def _rebuild(self, history: History, slots: Slots, rows: Slots, drafts: Drafts | None) -> None:
        """Sets the matches of some slots; `rows` are their rows, unless they have `drafts`."""
        index = to_device(slots, self._length.device)
        number = to_device(rows, self._length.device) if drafts is None else drafts.after(index, 0)
        part = history.select(number).divided()
        width = min(part.tokens.shape[1], self._length.shape[1])
        self._length[index, :width] = rebuild(part)[:, :width]
        self._belong.index_copy_(0, index, part.end)

    def _numbers(self, rows: int) -> tuple[Tensor, Tensor]:
        if rows not in self._plain:
            order = torch.arange(rows, device=self._length.device)
            self._plain[rows] = order, torch.zeros_like(order, dtype=torch.int32)
        return self._plain[rows]

    def _done(self, slots: Slots, ends: np.ndarray[Any, Any]) -> None:
        """Notes that a batch is done; it comes last, since a step that raised is done again."""
        after = ends + 1
        self._last = slots, after, after.tobytes()

    def _settle(self) -> None:
        if self._last is not None:
            slots, after, _ = self._last
            self._known[slots] = after - 1
            self._last = None

    def _part(self, history: History, slots: Slots, rows: Slots) -> tuple[History, Tensor]:
        device = self._length.device
        return history.select(to_device(rows, device)), to_device(slots[rows], device)

    def _reserve(self, positions: int) -> None:
        if self._length.shape[1] < positions:
            grown = self._length.new_zeros(self._length.shape[0], max(_FEWEST, 2 * positions))
            grown[:, : self._length.shape[1]] = self._length
            self._length = grown


def extend(old: Tensor, history: History) -> Tensor:
    """Returns [rows, positions] int32: the lengths after the last token, from those before it."""
    tokens = history.tokens
    last = tokens.gather(1, (history.end - 1).clamp_min(0)[:, None])
    position = torch.arange(tokens.shape[1], device=tokens.device, dtype=torch.int32)
    equal = tokens == last
    equal &= position >= history.start[:, None].int()
    equal &= position < history.end[:, None].int() - 1
    return torch.nn.functional.pad(old[:, :-1], (1, 0)).add_(1).mul_(equal)


def rebuild(history: History) -> Tensor:
    """Returns [rows, positions] int32: the lengths from the tokens alone, exact for any length.

    On the CPU, up to `SHORT` tokens are compared one by one, which ends early in most texts. If a
    text repeats longer stretches, and on devices (where a test for an early end would wait), the
    lengths are found by doubling.
    """
    position = torch.arange(history.tokens.shape[1], device=history.tokens.device)
    earlier = (position >= history.start[:, None]) & (position < history.end[:, None] - 1)
    if branches(history.tokens):
        lengths, complete = _one_by_one(history, earlier)
        if complete:
            return lengths
    return _by_doubling(history, earlier)


def _one_by_one(history: History, earlier: Tensor) -> tuple[Tensor, bool]:
    """Returns (the lengths up to `SHORT`, whether none is longer), with a pass for each token.

    `earlier` ([rows, positions] bool) are the positions of the history before its last one.
    """
    tokens = history.tokens
    positions = tokens.shape[1]
    position = torch.arange(positions)
    lengths = torch.zeros(tokens.shape, dtype=torch.int32)
    # the positions at which all tokens so far are equal
    alive = earlier
    for back in range(min(SHORT, positions)):
        last = history.end - 1 - back
        suffix = tokens.gather(1, last.clamp_min(0)[:, None])
        here = torch.nn.functional.pad(tokens[:, : positions - back], (back, 0))
        inside = (position - back >= history.start[:, None]) & (last >= history.start)[:, None]
        alive = alive & inside & (here == suffix)
        if not bool(alive.any()):
            return lengths, True
        lengths += alive
    return lengths, positions <= SHORT


def _by_doubling(history: History, earlier: Tensor) -> Tensor:
    """Returns the lengths, from numbers for all stretches of 1, 2, 4, ... tokens.

    Stretches of the same length have the same number if their tokens are equal (`_numbers`). A
    match of length n is then found by its binary digits: two equal stretches of the largest power
    of 2 in n that end where the texts end, before them two of the next largest, and so on.
    """
    tokens = history.tokens
    numbers = _numbers(history)
    # Where the two texts that are compared end: at each position, and at the last token.
    here = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
    last = (history.end - 1)[:, None].expand(tokens.shape)
    lengths = torch.zeros_like(tokens)
    for level in range(len(numbers) - 1, -1, -1):
        # Both texts, without the tokens that are known to be equal.
        one, other = here - lengths, last - lengths
        number_of_one = numbers[level].gather(1, one.clamp_min(0))
        number_of_other = numbers[level].gather(1, other.clamp_min(0))
        in_text = (one >= 0) & (number_of_one < tokens.shape[1])
        equal = earlier & in_text & (number_of_one == number_of_other)
        lengths = torch.where(equal, lengths + (1 << level), lengths)
    return lengths.int()


def _numbers(history: History) -> list[Tensor]:
    """Returns, for each level, [rows, positions] int64: the number of a stretch of 2^level tokens.

    The stretch ends at the position. Equal stretches have the same number, below `positions`. One
    that reaches out of the text has a number that no other stretch has. The number of 2 n tokens is
    derived from those of its halves, as in the construction of suffix arrays. Source: Karp, Miller,
    Rosenberg 1972.
    """
    tokens = history.tokens
    positions = tokens.shape[1]
    position = torch.arange(positions, device=tokens.device)
    unique = positions + position
    outside = (position < history.start[:, None]) | (position >= history.end[:, None])
    numbers = [torch.where(outside, unique, _dense(tokens))]
    # A match is at most `positions - 1` long: it ends before the last token.
    width = 1  # of the stretches that have numbers so far
    while 2 * width < positions:
        second_half = numbers[-1]
        first_half = torch.nn.functional.pad(second_half[:, : positions - width], (width, 0))
        both = _dense(second_half * (2 * positions) + first_half)
        width *= 2
        in_text = position - history.start[:, None] >= width - 1
        numbers.append(torch.where(in_text, both, unique))
    return numbers


def _dense(keys: Tensor) -> Tensor:
    """Returns [rows, n] int64: numbers below n, equal where keys of the same row are equal."""
    ranked, order = keys.sort(dim=1)
    new = ranked[:, 1:] != ranked[:, :-1]
    number = torch.nn.functional.pad(new.long().cumsum(1), (1, 0))
    return torch.empty_like(number).scatter_(1, order, number)
