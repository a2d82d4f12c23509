"""All triggers of a preset over a vocabulary: which of them end within a token, and where.

This adds two things to the automaton over tokens: triggers that are tokens, and switches inside a
token. After a switch the rest of the token is read from another state, because a line that must
stand alone counts only if it began in the new mode (an opening fence doesn't close itself). Each
possible rest is treated like a further token, with an id after those of the vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from temperament.plan.automata import cache
from temperament.plan.automata.patterns import ByteAutomaton, Pattern, byte_automaton
from temperament.plan.automata.token_automaton import Event, Events, TokenAutomaton, run_over_tokens
from temperament.plan.vocabulary import TokenBytes

VERSION = 5  # of the stored arrays; a file of another version is not read
KEPT = 64  # automata in memory
NO_TOKEN = -1  # as a rest: nothing is left of the token
SAME_STATE = -1  # as a next state: a token without bytes doesn't change the state
MAX_TOKEN_BYTES = 1 << 16

Token = int
Detector = Pattern | Token  # one text or one token that a rule waits for
Key = tuple[Detector, ...]
# The detectors that end at a byte, and the state from which the text goes on after a switch there.
Mark = tuple[frozenset[int], int]


@dataclass(frozen=True)
class TriggerAutomaton:
    """The state after every token from every state, and the detectors that end within it."""

    # Its events hold indices into `marks`. The next state of a token without bytes is SAME_STATE.
    tokens: TokenAutomaton
    # by number; with mark 0 nothing ends
    marks: tuple[Mark, ...]
    # [rests] int64, ascending: token * MAX_TOKEN_BYTES + end, where something ends in the token
    rest_key: NDArray[np.int64]
    # [rests] int64: the id of the rest of the token from there on
    rest_token: NDArray[np.int64]
    # the number of tokens that aren't rests
    size: int
    bytes: ByteAutomaton

    @cached_property
    def _exceptions(self) -> list[dict[int, tuple[int, int]]]:
        table = self.tokens
        columns = (table.exception_token, table.exception_next, table.exception_event)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        return [
            {token: (after, event) for token, after, event in rows[first:last]}
            for first, last in pairwise(table.first_exception.tolist())
        ]

    @cached_property
    def _rests(self) -> dict[int, int]:
        return dict(zip(self.rest_key.tolist(), self.rest_token.tolist(), strict=True))

    def step(self, state: int, token: int) -> tuple[int, Event]:
        """Returns the state after a token, and what ends within it."""
        table = self.tokens
        if not 0 <= token < len(table.next):
            return state, ()
        exception = self._exceptions[state].get(token)
        after, event = exception or (int(table.next[token]), int(table.event[token]))
        return (state if after == SAME_STATE else after), table.events[event]

    def rest(self, token: int, end: int) -> int:
        """Returns the id of what follows the first `end` bytes of a token.

        Something must end there; the id is `NO_TOKEN` at the token's last byte.
        """
        return self._rests.get(token * MAX_TOKEN_BYTES + end, NO_TOKEN)

    def after_switch(self, state: int) -> int:
        """Returns the state from which a text goes on if the mode switches in `state`."""
        return self.bytes.after_switch[state]

    def possible(self) -> frozenset[int]:
        """Returns the detectors that end in some text of this vocabulary, from a line's start.

        Every state that a text can reach is visited once.
        """
        reached, waiting = {self.bytes.start}, [self.bytes.start]
        events: set[int] = set()
        while waiting:
            states, events_from_here = self._after_any_token(waiting.pop())
            events |= events_from_here
            waiting += states - reached
            reached |= states
        return frozenset(
            detector
            for number in events
            for _, mark in self.tokens.events[number]
            for detector in self.marks[mark][0]
        )

    def _after_any_token(self, state: int) -> tuple[set[int], set[int]]:
        """Returns the states to which the vocabulary's tokens lead from `state`, and their events.

        To go through all tokens for each state would take long. So the counts from state 0 are
        corrected: the state's exceptions are subtracted there, and added as they are from `state`.
        """
        table = self.tokens
        exceptions = np.arange(*table.first_exception[state : state + 2])
        exceptions = exceptions[table.exception_token[exceptions] < self.size]
        token = table.exception_token[exceptions]
        to_state, with_event = self._from_state_0
        to_state = to_state + self._count_states(table.exception_next[exceptions])
        to_state -= self._count_states(table.next[token])
        with_event = with_event + self._count_events(table.exception_event[exceptions])
        with_event -= self._count_events(table.event[token])
        return set(np.flatnonzero(to_state).tolist()), set(np.flatnonzero(with_event).tolist())

    @cached_property
    def _from_state_0(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[states], [events]: how many tokens lead to each state, and have each event."""
        table, size = self.tokens, self.size
        return self._count_states(table.next[:size]), self._count_events(table.event[:size])

    def _count_states(self, states: NDArray[np.int16]) -> NDArray[np.int64]:
        return np.bincount(states[states != SAME_STATE], minlength=self.tokens.states)

    def _count_events(self, events: NDArray[np.int32]) -> NDArray[np.int64]:
        return np.bincount(events, minlength=len(self.tokens.events))


@lru_cache(maxsize=KEPT)
def trigger_automaton(detectors: Key, vocabulary: TokenBytes) -> TriggerAutomaton:
    """Returns the automaton of some detectors, from memory or from disk if it was built before.

    Raises `PresetError` if the texts need too many states.
    """
    table = byte_automaton([d for d in detectors if isinstance(d, Pattern)])
    key = _key(detectors, vocabulary)
    arrays = cache.load(key)
    stored = None if arrays is None else _from_arrays(arrays, table, len(vocabulary))
    if stored is not None:
        return stored
    built = _Builder(detectors, table, vocabulary).build()
    cache.store(key, _to_arrays(built))
    return built


class _Builder:
    """Builds one automaton."""

    def __init__(self, detectors: Key, table: ByteAutomaton, vocabulary: TokenBytes) -> None:
        self._table = table
        self._detectors_of_token: dict[Token, set[int]] = {}
        for number, detector in enumerate(detectors):
            if isinstance(detector, Token):
                self._detectors_of_token.setdefault(detector, set()).add(number)
        missing = max(self._detectors_of_token, default=-1) + 1 - len(vocabulary)
        self._spelled = (*vocabulary.atomic, *[b""] * missing)
        self._marks: list[Mark] = [(frozenset(), 0)]
        self._number: dict[Mark, int] = {self._marks[0]: 0}
        of_pattern = [number for number, d in enumerate(detectors) if isinstance(d, Pattern)]
        # [states] the mark of a byte that leads there
        self._mark_of_state = np.array(
            [
                self._mark(frozenset(of_pattern[p] for p in ended), after_switch) if ended else 0
                for ended, after_switch in zip(table.ends, table.after_switch, strict=True)
            ],
            dtype=np.int64,
        )

    def build(self) -> TriggerAutomaton:
        """Returns the automaton: of the vocabulary's tokens, then of the rests of tokens."""
        events, size = Events(), len(self._spelled)
        tokens = self._run(self._spelled, events)
        rests = _rests(tokens, self._spelled)
        texts = tuple(sorted(set(rests.values())))  # by number: rest i has id `size + i`
        rest_tokens = self._run(texts, events)
        rest_of = self._rest_ids(rests, texts, rest_tokens)
        self._add_tokens(tokens, events)
        keys = sorted(rest_of)
        return TriggerAutomaton(
            _join(tokens, rest_tokens, tuple(events.known)),
            tuple(self._marks),
            np.array(keys, dtype=np.int64),
            np.array([rest_of[key] for key in keys], dtype=np.int64),
            size,
            self._table,
        )

    def _rest_ids(
        self,
        rests: dict[tuple[int, int], bytes],
        texts: tuple[bytes, ...],
        rest_tokens: TokenAutomaton,
    ) -> dict[int, int]:
        """Returns `rest_token` by `rest_key`, for the vocabulary's tokens and for rests.

        A rest is read after a switch, so what ends in it also ended in its token, and the rest of
        the rest is one of `texts`. Ends that a rest has only from other states are never looked up.
        """
        size = len(self._spelled)
        id_of = {text: size + number for number, text in enumerate(texts)}
        rests_of_rests = {
            (size + number, end): text
            for (number, end), text in _rests(rest_tokens, texts).items()
            if text in id_of
        }
        return {
            token * MAX_TOKEN_BYTES + end: id_of[text]
            for (token, end), text in (rests | rests_of_rests).items()
        }

    def _run(self, tokens: tuple[bytes, ...], events: Events) -> TokenAutomaton:
        return run_over_tokens(self._table.next, self._mark_of_state, tokens, events)

    def _mark(self, ended: frozenset[int], after_switch: int) -> int:
        mark = (ended, after_switch)
        if mark not in self._number:
            self._number[mark] = len(self._marks)
            self._marks.append(mark)
        return self._number[mark]

    def _add_tokens(self, table: TokenAutomaton, events: Events) -> None:
        """Adds the detectors that are tokens: each ends with its token, from every state."""
        for token, detectors in self._detectors_of_token.items():
            event, after = int(table.event[token]), int(table.next[token])
            table.event[token] = self._add_at_end(events, event, token, detectors, after)
            for i in np.flatnonzero(table.exception_token == token):
                event, after = int(table.exception_event[i]), int(table.exception_next[i])
                table.exception_event[i] = self._add_at_end(events, event, token, detectors, after)
        empty = np.array([not spelled for spelled in self._spelled], dtype=np.bool_)
        table.next[empty] = SAME_STATE

    def _add_at_end(
        self, events: Events, number: int, token: Token, detectors: set[int], after: int
    ) -> int:
        """Returns the number of an event, with `detectors` added at the end of its token."""
        event, end = events.known[number], len(self._spelled[token])
        after_switch = self._table.after_switch[after] if end else SAME_STATE
        if event and event[-1][0] == end:
            ended = self._marks[event[-1][1]][0] | detectors
            return events.number((*event[:-1], (end, self._mark(ended, after_switch))))
        return events.number((*event, (end, self._mark(frozenset(detectors), after_switch))))


def _rests(table: TokenAutomaton, tokens: tuple[bytes, ...]) -> dict[tuple[int, int], bytes]:
    """Returns the bytes after each end within a token, by (token, end), except at its last byte."""
    plain = np.flatnonzero(table.event)
    numbers = np.concatenate([table.event[plain], table.exception_event])
    owners = np.concatenate([plain, table.exception_token])
    pairs = set(zip(owners.tolist(), numbers.tolist(), strict=True))
    return {
        (token, end): tokens[token][end:]
        for token, number in pairs
        for end, _ in table.events[number]
        if end < len(tokens[token])
    }


def _join(
    first: TokenAutomaton, second: TokenAutomaton, events: tuple[Event, ...]
) -> TokenAutomaton:
    """Returns one automaton with the tokens of both; the second's ids follow the first's."""
    states, size = first.states, len(first.next)
    every = np.arange(states)
    state = np.concatenate([np.repeat(every, np.diff(a.first_exception)) for a in (first, second)])
    token = np.concatenate([first.exception_token, second.exception_token + size])
    order = np.lexsort((token, state))
    return TokenAutomaton(
        np.concatenate([first.next, second.next]),
        np.concatenate([first.event, second.event]),
        first.first_exception + second.first_exception,
        token[order],
        np.concatenate([first.exception_next, second.exception_next])[order],
        np.concatenate([first.exception_event, second.exception_event])[order],
        events,
    )


def _key(detectors: Key, vocabulary: TokenBytes) -> str:
    plain = [
        [d.text.hex(), d.at_line_start, d.whole_line] if isinstance(d, Pattern) else d
        for d in detectors
    ]
    content = json.dumps([VERSION, vocabulary.digest, plain])
    return hashlib.sha256(content.encode()).hexdigest()[:40]


_ARRAYS = (
    "next",
    "event",
    "first_exception",
    "exception_token",
    "exception_next",
    "exception_event",
)


def _to_arrays(table: TriggerAutomaton) -> dict[str, NDArray[Any]]:
    marks = [[sorted(ended), after_switch] for ended, after_switch in table.marks]
    lists = json.dumps([table.tokens.events, marks, table.size]).encode()
    return {name: getattr(table.tokens, name) for name in _ARRAYS} | {
        "lists": np.frombuffer(lists, dtype=np.uint8),
        "rest_key": table.rest_key,
        "rest_token": table.rest_token,
    }


def _from_arrays(
    arrays: dict[str, NDArray[Any]], bytes_: ByteAutomaton, tokens: int
) -> TriggerAutomaton | None:
    """Returns the automaton in stored arrays, None if they contain none that fits."""
    try:
        events, marks, size = json.loads(arrays["lists"].tobytes())
        table = TokenAutomaton(
            **{name: arrays[name] for name in _ARRAYS},
            events=tuple(tuple((end, mark) for end, mark in event) for event in events),
        )
        rest_key, rest_token = arrays["rest_key"], arrays["rest_token"]
        exceptions = len(table.exception_token)
        fits = (
            table.states == bytes_.states
            and len(table.next) == len(table.event) >= size >= tokens
            and exceptions == len(table.exception_next) == len(table.exception_event)
            and exceptions == table.first_exception[-1]
            and int(table.event.max(initial=0)) < len(events)
            and int(table.exception_event.max(initial=0)) < len(events)
            and int(table.next.max(initial=0)) < table.states
            and len(rest_key) == len(rest_token)
            and int(rest_token.max(initial=0)) < max(len(table.next), 1)
        )
        known = tuple((frozenset(ended), int(after_switch)) for ended, after_switch in marks)
    except (KeyError, ValueError, TypeError, IndexError):
        return None
    return TriggerAutomaton(table, known, rest_key, rest_token, size, bytes_) if fits else None
