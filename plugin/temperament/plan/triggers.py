"""The triggers of a preset over a vocabulary: which of them end within a token, and where.

Built once for each set of triggers and vocabulary; kept in memory and on disk by their content.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from temperament.plan import cache
from temperament.plan.automaton import Automaton, Event, run_over_tokens
from temperament.plan.patterns import ByteTable, Pattern, byte_table
from temperament.plan.vocabulary import TokenBytes

VERSION = 1  # of what is stored: another one is built anew
KEPT = 64  # tables in memory

Token = int
Detector = Pattern | Token
Key = tuple[Detector, ...]


@dataclass(frozen=True)
class TriggerTable:
    """What every token does to the triggers, from every state.

    An event's marks are indices into `ends`: which detectors end at that place. A token without
    bytes leaves the state as it is; its `next` is -1.
    """

    automaton: Automaton
    # by mark; 0 is nothing
    ends: tuple[frozenset[int], ...]
    bytes: ByteTable

    @cached_property
    def _exceptions(self) -> list[dict[int, tuple[int, int]]]:
        a = self.automaton
        rows = list(
            zip(a.token.tolist(), a.other_next.tolist(), a.other_event.tolist(), strict=True)
        )
        bounds = a.offsets.tolist()
        return [
            {token: (after, event) for token, after, event in rows[first:last]}
            for first, last in pairwise(bounds)
        ]

    def step(self, state: int, token: int) -> tuple[int, Event]:
        """(the state behind a token, what ends within it)."""
        a = self.automaton
        if not 0 <= token < len(a.next):
            return state, ()
        found = self._exceptions[state].get(token)
        after, event = (int(a.next[token]), int(a.event[token])) if found is None else found
        return (state if after < 0 else after), a.events[event]

    def possible(self) -> frozenset[int]:
        """The detectors that can end in some text of this vocabulary, begun at a line's start."""
        a = self.automaton
        base_next = np.bincount(a.next[a.next >= 0], minlength=a.states)
        base_event = np.bincount(a.event, minlength=len(a.events))
        reached, waiting = {self.bytes.start}, [self.bytes.start]
        events: set[int] = set()
        while waiting:
            own = slice(*a.offsets[waiting.pop() :][:2])
            token = a.token[own]
            hidden = a.next[token]
            after = base_next - np.bincount(hidden[hidden >= 0], minlength=a.states)
            other = a.other_next[own]
            after = after + np.bincount(other[other >= 0], minlength=a.states)
            event = base_event - np.bincount(a.event[token], minlength=len(a.events))
            event = event + np.bincount(a.other_event[own], minlength=len(a.events))
            events.update(np.flatnonzero(event).tolist())
            new = set(np.flatnonzero(after).tolist()) - reached
            reached |= new
            waiting += new
        return frozenset(
            detector
            for number in events
            for _, mark in a.events[number]
            for detector in self.ends[mark]
        )


@lru_cache(maxsize=KEPT)
def trigger_table(detectors: Key, vocabulary: TokenBytes) -> TriggerTable:
    """The table of some detectors: texts, and ids of tokens.

    Raises `PresetError` if the texts make too many states.
    """
    patterns = [d for d in detectors if isinstance(d, Pattern)]
    table = byte_table(patterns)
    key = _key(detectors, vocabulary)
    arrays = cache.load(key)
    made = None if arrays is None else _from_arrays(arrays, table, len(vocabulary))
    if made is None:
        made = _build(detectors, table, vocabulary)
        cache.store(key, _to_arrays(made))
    return made


def _build(detectors: Key, table: ByteTable, vocabulary: TokenBytes) -> TriggerTable:
    place = [number for number, d in enumerate(detectors) if isinstance(d, Pattern)]
    ends = [frozenset[int]()]
    mark: dict[frozenset[int], int] = {ends[0]: 0}

    def marked(some: frozenset[int]) -> int:
        if some not in mark:
            mark[some] = len(ends)
            ends.append(some)
        return mark[some]

    marks = np.array(
        [marked(frozenset(place[p] for p in own)) for own in table.ends], dtype=np.int64
    )
    by_id: dict[int, set[int]] = {}
    for number, detector in enumerate(detectors):
        if isinstance(detector, Token):
            by_id.setdefault(detector, set()).add(number)
    spelled = vocabulary.spelled
    missing = max(by_id, default=-1) + 1 - len(spelled)
    spelled = (*spelled, *[b""] * missing)
    automaton = run_over_tokens(table.follow, marks, spelled)
    empty = np.array([not spelling for spelling in spelled], dtype=np.bool_)
    automaton.next[empty] = -1

    events = list(automaton.events)
    known = {event: number for number, event in enumerate(events)}

    def also(number: int, token: int) -> int:
        """The event with the detectors of a token's id at its end."""
        event, end = events[number], len(spelled[token])
        own = frozenset(by_id[token])
        if event and event[-1][0] == end:
            event = (*event[:-1], (end, marked(ends[event[-1][1]] | own)))
        else:
            event = (*event, (end, marked(own)))
        if event not in known:
            known[event] = len(events)
            events.append(event)
        return known[event]

    for token in by_id:
        automaton.event[token] = also(int(automaton.event[token]), token)
        for row in np.flatnonzero(automaton.token == token):
            automaton.other_event[row] = also(int(automaton.other_event[row]), token)
    return TriggerTable(replace(automaton, events=tuple(events)), tuple(ends), table)


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
    words = json.dumps([a.events, [sorted(own) for own in table.ends]]).encode()
    return {name: getattr(a, name) for name in _PARTS} | {
        "words": np.frombuffer(words, dtype=np.uint8)
    }


def _from_arrays(
    arrays: dict[str, NDArray[Any]], table: ByteTable, size: int
) -> TriggerTable | None:
    """The table, unless the arrays are not those of one."""
    try:
        events, ends = json.loads(arrays["words"].tobytes())
        made = Automaton(
            **{name: arrays[name] for name in _PARTS},
            events=tuple(tuple((place, mark) for place, mark in event) for event in events),
        )
        count = len(made.token)
        whole = (
            made.states == table.states
            and len(made.next) == len(made.event) >= size
            and count == len(made.other_next) == len(made.other_event) == made.offsets[-1]
            and int(made.event.max(initial=0)) < len(events)
            and int(made.other_event.max(initial=0)) < len(events)
            and int(made.next.max(initial=0)) < made.states
        )
    except (KeyError, ValueError, TypeError, IndexError):
        return None
    return TriggerTable(made, tuple(map(frozenset, ends)), table) if whole else None
