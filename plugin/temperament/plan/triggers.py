"""The triggers of a preset over a vocabulary: which of them end within a token, and where.

A line that a trigger wants whole counts if it was written since its mode began: an opening fence
isn't its own end. So where a trigger ends and switches, such lines are forgotten, and the rest of
the token is followed from there: rests are tokens of their own here, behind the real ones.

Built once for each set of triggers and vocabulary; kept in memory and on disk by their content.
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

from temperament.plan import cache
from temperament.plan.automaton import Automaton, Event, Events, run_over_tokens
from temperament.plan.patterns import ByteTable, Pattern, byte_table
from temperament.plan.vocabulary import TokenBytes

VERSION = 3  # of what is stored: another one is built anew
KEPT = 64  # tables in memory
NOTHING_LEFT = -1  # of a token
STAYS = -1  # where a token without bytes leaves the state
PLACES = 1 << 16  # more than a token has bytes

Token = int
Detector = Pattern | Token
Key = tuple[Detector, ...]
# The detectors that end at a place, and the state from which the text goes on after a switch there.
Mark = tuple[frozenset[int], int]


@dataclass(frozen=True)
class TriggerTable:
    """What every token does to the triggers, from every state.

    An event's marks are indices into `marks`. A token without bytes leaves the state as it is; its
    `next` is `STAYS`.
    """

    automaton: Automaton
    # by number; 0 is that nothing ends
    marks: tuple[Mark, ...]
    # [rests] int64, ascending: token * PLACES + place, for tokens in which a trigger may end early
    rest_key: NDArray[np.int64]
    # [rests] int64: what is left of the token behind that place, as a token
    rest_token: NDArray[np.int64]
    # how many tokens are real ones
    size: int
    bytes: ByteTable

    @cached_property
    def _exceptions(self) -> list[dict[int, tuple[int, int]]]:
        a = self.automaton
        rows = list(
            zip(a.token.tolist(), a.other_next.tolist(), a.other_event.tolist(), strict=True)
        )
        return [
            {token: (after, event) for token, after, event in rows[first:last]}
            for first, last in pairwise(a.offsets.tolist())
        ]

    @cached_property
    def _rests(self) -> dict[int, int]:
        return dict(zip(self.rest_key.tolist(), self.rest_token.tolist(), strict=True))

    def step(self, state: int, token: int) -> tuple[int, Event]:
        """(the state behind a token, what ends within it)."""
        a = self.automaton
        if not 0 <= token < len(a.next):
            return state, ()
        found = self._exceptions[state].get(token)
        after, event = (int(a.next[token]), int(a.event[token])) if found is None else found
        return (state if after == STAYS else after), a.events[event]

    def rest(self, token: int, place: int) -> int:
        """What is left of a token behind a place where something ended."""
        return self._rests.get(token * PLACES + place, NOTHING_LEFT)

    def cleared(self, state: int) -> int:
        """The state behind a switch."""
        return self.bytes.cleared[state]

    def possible(self) -> frozenset[int]:
        """The detectors that can end in some text of this vocabulary, begun at a line's start."""
        a, size = self.automaton, self.size
        plain_next, plain_event = a.next[:size], a.event[:size]
        base_next = np.bincount(plain_next[plain_next >= 0], minlength=a.states)
        base_event = np.bincount(plain_event, minlength=len(a.events))
        reached, waiting = {self.bytes.start}, [self.bytes.start]
        events: set[int] = set()
        while waiting:
            first, last = a.offsets[waiting.pop() :][:2]
            own = np.arange(first, last)[a.token[first:last] < size]
            hidden, other = a.next[a.token[own]], a.other_next[own]
            after = base_next - np.bincount(hidden[hidden >= 0], minlength=a.states)
            after = after + np.bincount(other[other >= 0], minlength=a.states)
            event = base_event - np.bincount(a.event[a.token[own]], minlength=len(a.events))
            event = event + np.bincount(a.other_event[own], minlength=len(a.events))
            events.update(np.flatnonzero(event).tolist())
            new = set(np.flatnonzero(after).tolist()) - reached
            reached |= new
            waiting += new
        return frozenset(
            detector
            for number in events
            for _, mark in a.events[number]
            for detector in self.marks[mark][0]
        )


@lru_cache(maxsize=KEPT)
def trigger_table(detectors: Key, vocabulary: TokenBytes) -> TriggerTable:
    """The table of some detectors: texts, and ids of tokens.

    Raises `PresetError` if the texts make too many states.
    """
    table = byte_table([d for d in detectors if isinstance(d, Pattern)])
    key = _key(detectors, vocabulary)
    arrays = cache.load(key)
    made = None if arrays is None else _from_arrays(arrays, table, len(vocabulary))
    if made is None:
        made = _Builder(detectors, table, vocabulary).build()
        cache.store(key, _to_arrays(made))
    return made


class _Builder:
    """One table in the making."""

    def __init__(self, detectors: Key, table: ByteTable, vocabulary: TokenBytes) -> None:
        self._table = table
        self._by_id: dict[int, set[int]] = {}
        for number, detector in enumerate(detectors):
            if isinstance(detector, Token):
                self._by_id.setdefault(detector, set()).add(number)
        missing = max(self._by_id, default=-1) + 1 - len(vocabulary)
        self._tokens = (*vocabulary.spelled, *[b""] * missing)
        self._marks: list[Mark] = [(frozenset(), 0)]
        self._number: dict[Mark, int] = {self._marks[0]: 0}
        place = [number for number, d in enumerate(detectors) if isinstance(d, Pattern)]
        self._by_state = np.array(
            [
                self._mark(frozenset(place[p] for p in own), cleared) if own else 0
                for own, cleared in zip(table.ends, table.cleared, strict=True)
            ],
            dtype=np.int64,
        )

    def build(self) -> TriggerTable:
        """The table."""
        events = Events(places=True)
        real = run_over_tokens(self._table.follow, self._by_state, self._tokens, known=events)
        rests = self._rests(real, self._tokens)
        number = {rest: len(self._tokens) + i for i, rest in enumerate(sorted(set(rests.values())))}
        written = tuple(number)
        behind = run_over_tokens(self._table.follow, self._by_state, written, known=events)
        inner = self._rests(behind, written)
        size = len(self._tokens)
        keys = {token * PLACES + p: number[rest] for (token, p), rest in rests.items()}
        # A rest is followed from a cleared state; there, what ends in it ends in its token too.
        keys |= {
            (size + token) * PLACES + place: number[rest]
            for (token, place), rest in inner.items()
            if rest in number
        }
        self._add_ids(real, events)
        key = np.array(sorted(keys), dtype=np.int64)
        return TriggerTable(
            _joined(real, behind, tuple(events.events)),
            tuple(self._marks),
            key,
            np.array([keys[one] for one in key.tolist()], dtype=np.int64),
            size,
            self._table,
        )

    def _mark(self, ended: frozenset[int], cleared: int) -> int:
        mark = (ended, cleared)
        if mark not in self._number:
            self._number[mark] = len(self._marks)
            self._marks.append(mark)
        return self._number[mark]

    @staticmethod
    def _rests(automaton: Automaton, tokens: tuple[bytes, ...]) -> dict[tuple[int, int], bytes]:
        """What stands behind each place before the end at which something ends in a token."""
        plain = np.flatnonzero(automaton.event)
        numbers = np.concatenate([automaton.event[plain], automaton.other_event])
        owners = np.concatenate([plain, automaton.token])
        pairs = set(zip(owners.tolist(), numbers.tolist(), strict=True))
        return {
            (token, place): tokens[token][place:]
            for token, number in pairs
            for place, _ in automaton.events[number]
            if place < len(tokens[token])
        }

    def _add_ids(self, automaton: Automaton, events: Events) -> None:
        """Lets the detectors of tokens' ids end with their tokens."""
        for token, own in self._by_id.items():
            event, after = int(automaton.event[token]), int(automaton.next[token])
            automaton.event[token] = self._also(events, event, token, own, after)
            for row in np.flatnonzero(automaton.token == token):
                event, after = int(automaton.other_event[row]), int(automaton.other_next[row])
                automaton.other_event[row] = self._also(events, event, token, own, after)
        empty = np.array([not written for written in self._tokens], dtype=np.bool_)
        automaton.next[empty] = STAYS

    def _also(self, events: Events, number: int, token: int, own: set[int], after: int) -> int:
        """The event with more detectors at its end."""
        event, end = events.events[number], len(self._tokens[token])
        cleared = self._table.cleared[after] if end else STAYS
        if event and event[-1][0] == end:
            ended = self._marks[event[-1][1]][0] | own
            return events.number((*event[:-1], (end, self._mark(ended, cleared))))
        return events.number((*event, (end, self._mark(frozenset(own), cleared))))


def _joined(real: Automaton, behind: Automaton, events: tuple[Event, ...]) -> Automaton:
    """Both as one, the second's tokens behind the first's."""
    states, size = real.states, len(real.next)
    every = np.arange(states)
    state = np.concatenate([np.repeat(every, np.diff(a.offsets)) for a in (real, behind)])
    token = np.concatenate([real.token, behind.token + size])
    order = np.lexsort((token, state))
    return Automaton(
        np.concatenate([real.next, behind.next]),
        np.concatenate([real.event, behind.event]),
        real.offsets + behind.offsets,
        token[order],
        np.concatenate([real.other_next, behind.other_next])[order],
        np.concatenate([real.other_event, behind.other_event])[order],
        events,
    )


def _key(detectors: Key, vocabulary: TokenBytes) -> str:
    said = [
        [d.text.hex(), d.at_line_start, d.whole_line] if isinstance(d, Pattern) else d
        for d in detectors
    ]
    content = json.dumps([VERSION, vocabulary.digest, said])
    return hashlib.sha256(content.encode()).hexdigest()[:40]


_PARTS = ("next", "event", "offsets", "token", "other_next", "other_event")


def _to_arrays(table: TriggerTable) -> dict[str, NDArray[Any]]:
    a = table.automaton
    marks = [[sorted(ended), cleared] for ended, cleared in table.marks]
    words = json.dumps([a.events, marks, table.size]).encode()
    return {name: getattr(a, name) for name in _PARTS} | {
        "words": np.frombuffer(words, dtype=np.uint8),
        "rest_key": table.rest_key,
        "rest_token": table.rest_token,
    }


def _from_arrays(
    arrays: dict[str, NDArray[Any]], table: ByteTable, tokens: int
) -> TriggerTable | None:
    """The table, unless the arrays are not those of one."""
    try:
        events, marks, size = json.loads(arrays["words"].tobytes())
        made = Automaton(
            **{name: arrays[name] for name in _PARTS},
            events=tuple(tuple((place, mark) for place, mark in event) for event in events),
        )
        rest_key, rest_token = arrays["rest_key"], arrays["rest_token"]
        count = len(made.token)
        whole = (
            made.states == table.states
            and len(made.next) == len(made.event) >= size >= tokens
            and count == len(made.other_next) == len(made.other_event) == made.offsets[-1]
            and int(made.event.max(initial=0)) < len(events)
            and int(made.other_event.max(initial=0)) < len(events)
            and int(made.next.max(initial=0)) < made.states
            and len(rest_key) == len(rest_token)
            and int(rest_token.max(initial=0)) < max(len(made.next), 1)
        )
        known = tuple((frozenset(ended), int(cleared)) for ended, cleared in marks)
    except (KeyError, ValueError, TypeError, IndexError):
        return None
    return TriggerTable(made, known, rest_key, rest_token, size, table) if whole else None
