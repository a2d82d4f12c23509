"""What an op is given beside the logits: its parameters, and what its stage needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.blocks import branches, mass, sums
from temperament.ops.sorting import ascending_


class Column(NamedTuple):
    """One parameter of every row, with bounds that the host knows.

    A branch on `low` or `high` costs no synchronisation with the device. They bound the values of
    the whole batch, so an op may skip work by them, but never choose other arithmetic.
    """

    # [rows]
    values: Tensor
    low: float
    high: float

    @classmethod
    def of(
        cls, values: Sequence[float], *, integer: bool = False, device: str | torch.device = "cpu"
    ) -> Column:
        """A column of numbers from the host."""
        dtype = torch.int64 if integer else torch.float32
        tensor = torch.tensor(values, dtype=dtype, device=device)
        return cls(tensor, min(values, default=0), max(values, default=0))

    def per_row(self) -> Tensor:
        """[rows, 1], to be broadcast over the vocabulary."""
        return self.values[:, None]


class Tokens(NamedTuple):
    """A number for some tokens of some rows, each (row, token) once."""

    # [entries] int64
    row: Tensor
    # [entries] int64
    token: Tensor
    # [entries] float32
    value: Tensor
    # [entries] bool: false where an entry only fills up a row that has none
    counts: Tensor


class Sequences(NamedTuple):
    """Some token sequences of some rows, each with a number."""

    # [entries] int64
    row: Tensor
    # [entries, longest] int64: the sequence without its last token, right-aligned, -1 before it
    prefix: Tensor
    # [entries] int64: its last token
    last: Tensor
    # [entries] float32
    value: Tensor
    # [entries] bool: false where an entry only fills up a row that has none
    counts: Tensor

    def tokens(self) -> Tokens:
        """The last tokens alone."""
        return Tokens(self.row, self.last, self.value, self.counts)


class Automata(NamedTuple):
    """The automata of sets of texts over a vocabulary: what a token does from each state.

    From any state of a set a token does what it does from the set's root, but for exceptions.
    """

    # [sets, tokens] int32: the state behind a token, from the root
    next: Tensor
    # [sets, tokens] bool: whether a text ends within the token, from the root
    hit: Tensor
    # [states] int64: the set of each state
    set_of: Tensor
    # [states + 1] int64: where the exceptions of each state begin
    offset: Tensor
    # [exceptions] int64, ascending: state * tokens + token
    key: Tensor
    # [exceptions] int32: the state behind the token
    other_next: Tensor
    # [exceptions] bool: whether a text ends within the token
    other_hit: Tensor

    # In all of these `most` bounds the exceptions of a state, 0 where there are none.

    def after(self, state: Tensor, token: Tensor, most: int) -> Tensor:
        """The state behind a token, int64."""
        return self._read(self.next, self.other_next, state, token, most).long()

    def ends(self, state: Tensor, token: Tensor, most: int) -> Tensor:
        """Whether a text ends within a token, bool."""
        return self._read(self.hit, self.other_hit, state, token, most)

    def ending(self, state: Tensor, most: int) -> Tensor:
        """[rows, tokens] bool: within which tokens a text ends, from each row's state ([rows])."""
        mask = self.hit.index_select(0, self.set_of[state])
        if not most:
            return mask
        first, end = self.offset[state][:, None], self.offset[state + 1][:, None]
        place = first + torch.arange(most, device=state.device)
        # Behind the last exception stands the last once more; without any, a token as it is.
        place = place.minimum(end - 1).clamp_min(0)
        token = torch.where(end > first, self.key[place] % self.next.shape[1], 0)
        value = torch.where(end > first, self.other_hit[place], mask[:, :1])
        return mask.scatter_(1, token, value)

    def _read(
        self, plain: Tensor, other: Tensor, state: Tensor, token: Tensor, most: int
    ) -> Tensor:
        value = plain[self.set_of[state], token]
        if not most:
            return value
        key = state * self.next.shape[1] + token
        place = torch.searchsorted(self.key, key).clamp_max(self.key.shape[0] - 1)
        return torch.where(self.key[place] == key, other[place], value)


@dataclass(slots=True)
class Texts:
    """Texts for each row, matched on the bytes of the vocabulary's tokens.

    A row's state after its last `window` tokens is that after all of them: a token has a byte at
    least, or starts anew, and no text has more than `window` bytes before its last.
    """

    automata: Automata
    # [rows] int64: the state of the row's texts in which nothing is matched
    root: Tensor
    # -1 if no row has a text
    window: int
    # how many exceptions a state has at most
    exceptions: int

    def ending(self, history: History, start: Tensor, vocabulary: int) -> Tensor:
        """[rows, vocabulary] bool: within which tokens a text ends, behind those from `start`."""
        if self.window < 0:
            return self.root.new_zeros(self.root.shape[0], vocabulary, dtype=torch.bool)
        state = self._states(history, start)
        mask = self.automata.ending(state, self.exceptions)[:, :vocabulary]
        return torch.nn.functional.pad(mask, (0, vocabulary - mask.shape[1]))

    def completes(self, history: History, row: Tensor, token: Tensor) -> Tensor:
        """[n] bool: whether a text of a row would end within a token that comes next, [n] each."""
        if self.window < 0:
            return torch.zeros_like(token, dtype=torch.bool)
        return self._ends(self._states(history, history.start)[row], token)

    def last_hit(self, history: History) -> Tensor:
        """[rows] int64: the last position within whose token a text ends; -1 if there is none."""
        tokens = history.tokens
        if self.window < 0:
            return torch.full_like(history.end, -1)
        state = self.root[:, None].expand(tokens.shape)
        position = torch.arange(tokens.shape[1], device=tokens.device)
        inside = (position >= history.start[:, None]) & (position < history.end[:, None])
        for back in range(min(self.window, tokens.shape[1] - 1), 0, -1):
            place = position - back
            token = tokens.gather(1, place.clamp_min(0).expand(tokens.shape))
            counts = inside & (place >= history.start[:, None])
            state = self._follow(state, token, counts)
        return torch.where(inside & self._ends(state, tokens), position, -1).amax(1)

    def _states(self, history: History, start: Tensor) -> Tensor:
        state = self.root
        longest = history.tokens.shape[1]
        for back in range(min(self.window, longest), 0, -1):
            place = history.end - back
            token = history.tokens.gather(1, place.clamp(0, longest - 1)[:, None])[:, 0]
            state = self._follow(state, token, place >= start)
        return state

    def _follow(self, state: Tensor, token: Tensor, counts: Tensor) -> Tensor:
        known = self._knows(token)
        after = self.automata.after(state, torch.where(known, token, 0), self.exceptions)
        # An id that has no bytes starts anew, as a special token does.
        root = self.root.reshape(-1, *[1] * (state.ndim - 1))
        return torch.where(counts, torch.where(known, after, root), state)

    def _ends(self, state: Tensor, token: Tensor) -> Tensor:
        known = self._knows(token)
        return known & self.automata.ends(state, torch.where(known, token, 0), self.exceptions)

    def _knows(self, token: Tensor) -> Tensor:
        return (token >= 0) & (token < self.automata.next.shape[1])


@dataclass(slots=True)
class Ends:
    """What ends each row's text."""

    # the ids that do, [entries]; values are 0
    tokens: Tokens
    # [rows] int64: how many tokens may be generated, -1 where that isn't known
    limit: Tensor


class Continued(NamedTuple):
    """Tokens that followed what the text ends with now."""

    # [n] int64: whose
    row: Tensor
    # [n] int64: where in the row's history
    position: Tensor
    # [n] int64: the token there, 0 where it doesn't count
    token: Tensor
    # [n] int64: how many tokens before it are those at the history's end
    length: Tensor
    # [n] bool: false where the match is too short, or what stands there is no token
    counts: Tensor

    def tokens(self) -> Tokens:
        """The same, each with the length of its match. A token may stand several times."""
        return Tokens(self.row, self.token, self.length.float(), self.counts)


@dataclass(slots=True)
class Matches:
    """For each position of the history: how long a suffix of the history ends there too."""

    # [rows, positions] int32; 0 at the last position and outside the history
    length: Tensor

    def continued(self, history: History, least: Tensor, vocabulary: int) -> Continued:
        """The tokens behind a match of at least `least` ([rows, 1]) tokens.

        On the CPU only those, which in most texts are few; else all positions.
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
        """The matches of some rows."""
        return Matches(self.length.index_select(0, rows))


@dataclass(slots=True)
class Vocabulary:
    """What is known of the tokens themselves."""

    # [vocabulary] bool: tokens that hold a newline
    newline: Tensor

    def select(self, _rows: Tensor) -> Vocabulary:
        """The same for any rows."""
        return self


@dataclass(slots=True)
class State:
    """What a stage remembers of each row: a number, and the distribution that it last gave.

    The rows' numbers live in `slots`; reading and writing go through this view of them.
    """

    # [slots] float64, NaN before the first step
    value: Tensor
    # [slots, vocabulary] float32 logits, and [slots] float32 what turns them into log-probabilities
    given: Tensor
    normaliser: Tensor
    # [slots] int64: how many tokens the row had generated then
    count: Tensor
    # [rows] int64
    slots: Tensor

    def select(self, rows: Tensor) -> State:
        """The state of some rows."""
        slots = self.slots.index_select(0, rows)
        return State(self.value, self.given, self.normaliser, self.count, slots)

    def drawn(self, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """(value, log-probability of the token drawn since, whether exactly one was): [rows].

        A token that couldn't be drawn from what was given (another hand put it there) tells
        nothing, and counts as none.
        """
        generated = history.end - history.prompt_end
        last = history.tokens.gather(1, (history.end - 1).clamp_min(0)[:, None])[:, 0]
        followed = (generated == self.count[self.slots] + 1) & (generated > 0)
        followed &= (last >= 0) & (last < self.given.shape[1])
        given = self.given[self.slots, last.where(followed, 0)] - self.normaliser[self.slots]
        followed &= given.isfinite()
        return self.value[self.slots], given.where(followed, 0.0), followed

    def store(self, value: Tensor, logits: Tensor, history: History) -> Tensor:
        """Keeps a number and the distribution of logits until the next step.

        Returns [rows] float32: a token's log-probability is its logit less that.
        """
        maximum = logits.amax(dim=-1, keepdim=True)
        (total,) = sums(logits, maximum, mass)
        normaliser = (maximum + total.log()).float()[:, 0]
        generated, before = history.end - history.prompt_end, self.count[self.slots]
        # A runner that fills a row's tokens in again, in parts, draws nothing behind a part.
        new = generated >= before
        if not branches(logits) or not bool(new.all()):
            logits = torch.where(new[:, None], logits, self.given[self.slots])
        self.value[self.slots] = torch.where(new, value, self.value[self.slots])
        self.given.index_copy_(0, self.slots, logits)
        old = self.normaliser[self.slots]
        self.normaliser[self.slots] = torch.where(new, normaliser, old)
        self.count[self.slots] = torch.where(new, generated, before)
        return normaliser


@dataclass(slots=True)
class History:
    """The tokens of every row so far. Valid are the positions `start` <= i < `end`."""

    # [rows, positions] int64; what lies outside start..end is never read as a token
    tokens: Tensor
    # [rows] int64
    start: Tensor
    # [rows] int64: where the prompt ends and the output begins
    prompt_end: Tensor
    # [rows] int64
    end: Tensor
    # what `output` found
    seen_in_output: Tensor | None = None

    def __post_init__(self) -> None:
        if self.tokens.shape[1] == 0:  # a column that no row reads, so that ops may gather from it
            self.tokens = self.tokens.new_zeros(self.tokens.shape[0], 1)

    def select(self, rows: Tensor) -> History:
        """The history of some rows."""
        return History(
            self.tokens.index_select(0, rows),
            self.start.index_select(0, rows),
            self.prompt_end.index_select(0, rows),
            self.end.index_select(0, rows),
        )

    def ends_with(self, sequences: Sequences) -> Tensor:
        """[entries] bool: whether a row's tokens end with the sequence's prefix."""
        width = sequences.prefix.shape[1]
        row = sequences.row
        if not width:
            return sequences.counts
        back = torch.arange(-width, 0, device=row.device)
        place = self.end[row][:, None] + back
        token = self.tokens[row[:, None], place.clamp_min(0)]
        equal = (token == sequences.prefix) & (place >= self.start[row][:, None])
        return (equal | (sequences.prefix < 0)).all(1) & sequences.counts

    def seen(self, start: Tensor, end: Tensor, *, vocabulary: int) -> Tensor:
        """The token ids at `start` <= i < `end`: [rows, positions] int32, -1 for any other place.

        So are ids outside the vocabulary (a runner's placeholders, tokens of other modalities). On
        a CPU they ascend: memory that is read and written in order takes a fraction of the time.
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
        """The same of the output: sought once, however many stages ask for it."""
        if self.seen_in_output is None:
            self.seen_in_output = self.seen(self.prompt_end, self.end, vocabulary=vocabulary)
        return self.seen_in_output


@dataclass(slots=True)
class Given:
    """What the stages of a batch need, for all rows of the logits; None where none does."""

    history: History | None = None
    matches: Matches | None = None
    vocabulary: Vocabulary | None = None
    # by stage
    states: dict[str, State] | None = None
    # [rows] int64: how many tokens the row's mode has had, for numbers that change with it
    position: Tensor | None = None

    def select(self, rows: Tensor) -> Given:
        """The same for some rows."""
        states = self.states or {}
        return Given(
            None if self.history is None else self.history.select(rows),
            None if self.matches is None else self.matches.select(rows),
            self.vocabulary,
            {name: state.select(rows) for name, state in states.items()},
            None if self.position is None else self.position.index_select(0, rows),
        )
