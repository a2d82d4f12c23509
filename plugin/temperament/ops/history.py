"""The tokens of every row, and where a suffix of them occurred before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.inputs import Sequences, Tokens
from temperament.ops.sorting import ascending_


@dataclass(slots=True)
class History:
    """The tokens of every row so far, at the positions `start` <= i < `end`."""

    # [rows, positions] int64; no op reads a token outside start..end. With `text`, [texts,
    # positions].
    tokens: Tensor
    # [rows] int64
    start: Tensor
    # [rows] int64: where the prompt ends and the output begins
    prompt_end: Tensor
    # [rows] int64
    end: Tensor
    # [rows, positions] int32: the result of `output`, once a stage has asked for it
    seen_in_output: Tensor | None = None
    # [rows] int64: which of the texts in `tokens` each row reads, None if row i reads text i. Rows
    # of draft tokens share a text: each ends elsewhere in it.
    text: Tensor | None = None

    def __post_init__(self) -> None:
        if self.tokens.shape[1] == 0:  # a column that no row reads, so that ops may gather from it
            self.tokens = self.tokens.new_zeros(self.tokens.shape[0], 1)

    def select(self, rows: Tensor) -> History:
        """Returns the history of some rows: [n] int64. Texts that rows share aren't copied."""
        shared = self.text is not None
        return History(
            self.tokens if shared else self.tokens.index_select(0, rows),
            self.start.index_select(0, rows),
            self.prompt_end.index_select(0, rows),
            self.end.index_select(0, rows),
            text=None if self.text is None else self.text.index_select(0, rows),
        )

    def divided(self) -> History:
        """Returns the same with a text for each row, as the ops read it."""
        if self.text is None:
            return self
        tokens = self.tokens.index_select(0, self.text)
        return History(tokens, self.start, self.prompt_end, self.end)

    def token_at(self, position: Tensor) -> Tensor:
        """Returns [rows] int64: each row's token at a position ([rows] int64)."""
        place = position.clamp(0, self.tokens.shape[1] - 1)
        if self.text is not None:
            return self.tokens[self.text, place]
        return self.tokens.gather(1, place[:, None])[:, 0]

    def ends_with(self, sequences: Sequences) -> Tensor:
        """Returns [entries] bool: whether the row's tokens end with the sequence's prefix."""
        width = sequences.prefix.shape[1]
        row = sequences.row
        if not width:
            return sequences.counts
        back = torch.arange(-width, 0, device=row.device)
        position = self.end[row][:, None] + back
        token = self.tokens[row[:, None], position.clamp_min(0)]
        equal = (token == sequences.prefix) & (position >= self.start[row][:, None])
        return (equal | (sequences.prefix < 0)).all(1) & sequences.counts

    def seen(self, start: Tensor, end: Tensor, *, vocabulary: int) -> Tensor:
        """Returns [rows, positions] int32: the tokens at `start` <= i < `end`, -1 for all others.

        An id outside the vocabulary (a runner's placeholder, a token of another modality) is -1
        too. On a CPU the ids of a row ascend, since an op that reads and writes memory in order
        takes a fraction of the time.
        """
        # Ids are below 2^31, and half the bytes take half the time.
        tokens = self.tokens.int()
        position = torch.arange(tokens.shape[1], device=tokens.device, dtype=torch.int32)
        counts = tokens < vocabulary
        counts &= position >= start[:, None].int()
        counts &= position < end[:, None].int()
        tokens = torch.where(counts, tokens, -1).clamp_min_(-1)
        return ascending_(tokens) if branches(tokens) else tokens

    def output(self, vocabulary: int) -> Tensor:
        """Returns `seen` of the output; it is computed once, however many stages ask for it."""
        if self.seen_in_output is None:
            self.seen_in_output = self.seen(self.prompt_end, self.end, vocabulary=vocabulary)
        return self.seen_in_output


class Continued(NamedTuple):
    """Tokens that followed an earlier occurrence of the history's last tokens."""

    # [n] int64
    row: Tensor
    # [n] int64: the token's position in the row's history
    position: Tensor
    # [n] int64: the token, 0 where the entry doesn't count
    token: Tensor
    # [n] int64: how many tokens before it equal those at the history's end
    length: Tensor
    # [n] bool: false where the match is too short, or the position holds no token of the vocabulary
    counts: Tensor

    def tokens(self) -> Tokens:
        """Returns the tokens, each with the length of its match. A token may occur repeatedly."""
        return Tokens(self.row, self.token, self.length.float(), self.counts)


@dataclass(slots=True)
class Matches:
    """For each position of the history: the length of the longest suffix that also ends there."""

    # [rows, positions] int32; 0 at the last position and outside the history
    length: Tensor

    def continued(self, history: History, least: Tensor, vocabulary: int) -> Continued:
        """Returns the tokens that followed a match of at least `least` ([rows, 1]) tokens.

        On the CPU there is an entry for each such token, of which most texts have few; on other
        devices there is an entry for every position.
        """
        before = torch.nn.functional.pad(self.length[:, :-1], (1, 0))
        counts = before >= least.int()
        if branches(before):
            row, position = torch.nonzero(counts, as_tuple=True)
        else:
            row, position = (torch.arange(size, device=before.device) for size in before.shape)
            row = row[:, None].expand(before.shape).flatten()
            position = position.expand(before.shape).flatten()
        token = history.tokens[row, position]
        counts = counts[row, position] & (token >= 0) & (token < vocabulary)
        counts &= (position >= history.start[row]) & (position < history.end[row])
        length = before[row, position].long()
        return Continued(row, position, torch.where(counts, token, 0), length, counts)

    def select(self, rows: Tensor) -> Matches:
        """Returns the matches of some rows: [n] int64."""
        return Matches(self.length.index_select(0, rows))
