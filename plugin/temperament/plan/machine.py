"""A preset's modes and rules over a vocabulary, ready to be followed token by token."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from temperament.errors import Problem, nearest, shown
from temperament.plan.patterns import Pattern
from temperament.plan.triggers import Detector, TriggerTable, trigger_table
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.modes import AUTO, BACK, MAX_MODES, Rule
from temperament.presets.preset import Preset
from temperament.presets.switching import first

NONE = -1  # no rule
TO_BACK = -1  # as a target: the mode before
STAYS = -2  # as a target: no other mode
NEVER = 2**31 - 1

_NO_TOKENS = TokenBytes(())


@dataclass(frozen=True, slots=True)
class Switching:
    """The modes of a preset by name, where a text begins, and the rules; hashable."""

    modes: tuple[str, ...]
    start: str
    rules: tuple[Rule, ...]
    first: int

    @classmethod
    def of(cls, preset: Preset) -> Switching | None:
        """Those of a preset, None if it has no modes."""
        if not preset.modes:
            return None
        names = tuple(mode.name for mode in preset.modes)
        return cls(names, preset.start, preset.switch, names.index(first(preset)))

    @property
    def auto(self) -> bool:
        """Whether the prompt tells in which mode a text begins."""
        return self.start == AUTO

    @property
    def forgets(self) -> bool:
        """Whether a mode may depend on more than the tokens."""
        return any(rule.on.kind == "entropy" for rule in self.rules)

    @property
    def repeats(self) -> bool:
        """Whether a rule looks for repetitions."""
        return any(rule.on.kind == "repeat" for rule in self.rules)

    @property
    def why_tokenizer(self) -> str:
        """Why these rules need the tokenizer, "" if they don't."""
        if any(rule.on.texts for rule in self.rules):
            return "switches on texts: the tokenizer must be given"
        if any(isinstance(rule.on.token, str) for rule in self.rules):
            return "switches on a token by its name: the tokenizer must be given"
        if self.auto:
            return "reads the prompt (start: auto): the tokenizer must be given"
        return ""


T = TypeVar("T")


class Counted(NamedTuple, Generic[T]):
    """What ends each mode by counting: a column for each number, all [modes].

    Where a mode has no such rule, the rule is NONE and the number out of reach.
    """

    # after so many tokens
    limit: T
    limit_rule: T
    # the last `span` tokens stand so many times
    span: T
    times: T
    repeat_rule: T
    # entropy over or under a number, for so many steps
    above: T
    above_steps: T
    above_rule: T
    below: T
    below_steps: T
    below_rule: T


@dataclass(frozen=True)
class Machine:
    """What follows a text through its modes. Rules are indices into `switching.rules`."""

    switching: Switching
    table: TriggerTable
    # [marks, modes] the rule that ends a mode where these detectors end, or NONE
    choice: NDArray[np.int64]
    # [rules] the mode that a rule leads to, or TO_BACK
    target: NDArray[np.int64]
    # [rules] whether the trigger's last token belongs to the new mode
    before: NDArray[np.bool_]
    counted: Counted[NDArray[Any]]
    # [states, modes] the mode that the next token is drawn in because it may complete a trigger of
    # a rule that takes effect before its last token: a mode, TO_BACK, or STAYS
    pending: NDArray[np.int64]
    # special tokens that are no part of a trigger: a prompt's last turn begins behind them
    turns: frozenset[int]

    @cached_property
    def longest_event(self) -> int:
        """How many marks an event has at most."""
        return max(map(len, self.table.automaton.events))


@lru_cache(maxsize=64)
def machine(switching: Switching, vocabulary: TokenBytes | None) -> Machine:
    """The machine of a preset's modes over a vocabulary; without one, texts never end.

    Raises `PresetError` if the texts make too many states.
    """
    known = _NO_TOKENS if vocabulary is None else vocabulary
    added = dict(known.added)
    detectors: list[Detector] = []
    rule_of: list[int] = []
    for number, rule in enumerate(switching.rules):
        own: list[Detector] = [
            Pattern(text.encode("utf-8", "replace"), rule.on.at_line_start, rule.on.end_of)
            for text in rule.on.texts
        ]
        token = rule.on.token
        token = added.get(token) if isinstance(token, str) else token
        own += [token] if token is not None else []
        detectors += own
        rule_of += [number] * len(own)
    table = trigger_table(tuple(detectors), known)
    leaves = np.zeros((len(switching.rules), MAX_MODES), dtype=np.bool_)
    for number, rule in enumerate(switching.rules):
        leaves[number, : len(switching.modes)] = [rule.leaves(mode) for mode in switching.modes]
    choice = np.full((len(table.marks), MAX_MODES), NONE, dtype=np.int64)
    for mark, (ended, _) in enumerate(table.marks):
        for number in sorted({rule_of[d] for d in ended}, reverse=True):
            choice[mark, leaves[number]] = number
    return Machine(
        switching,
        table,
        choice,
        np.array([_target(switching, rule) for rule in switching.rules], dtype=np.int64),
        np.array([rule.before for rule in switching.rules], dtype=np.bool_),
        _counted(switching, leaves),
        _pending(switching, table, leaves, detectors, rule_of, known),
        frozenset(
            token for token, written in known.special
            if token not in detectors
            and not any(written in d.text for d in detectors if isinstance(d, Pattern))
        ),
    )  # fmt: skip


def _target(switching: Switching, rule: Rule) -> int:
    return TO_BACK if rule.to == BACK else switching.modes.index(rule.to)


_OUT_OF_REACH = Counted(NEVER, NONE, NEVER, NEVER, NONE, np.inf, NEVER, NONE, -np.inf, NEVER, NONE)


def _counted(switching: Switching, leaves: NDArray[np.bool_]) -> Counted[NDArray[Any]]:
    """The rules that count, for each mode."""
    made = Counted(*(np.full(MAX_MODES, value) for value in _OUT_OF_REACH))
    for number, rule in enumerate(switching.rules):
        modes, on = leaves[number], rule.on
        if on.tokens:
            made.limit[modes], made.limit_rule[modes] = on.tokens, number
        elif on.span:
            made.span[modes], made.times[modes], made.repeat_rule[modes] = on.span, on.times, number
        elif on.above is not None:
            made.above[modes], made.above_steps[modes] = on.above, on.steps
            made.above_rule[modes] = number
        elif on.below is not None:
            made.below[modes], made.below_steps[modes] = on.below, on.steps
            made.below_rule[modes] = number
    return made


def _pending(
    switching: Switching,
    table: TriggerTable,
    leaves: NDArray[np.bool_],
    detectors: list[Detector],
    rule_of: list[int],
    vocabulary: TokenBytes,
) -> NDArray[np.int64]:
    made = np.full((table.bytes.states, MAX_MODES), STAYS, dtype=np.int64)
    if not any(rule.before for rule in switching.rules):
        return made
    spelled = sorted(set(vocabulary.spelled))
    place = [number for number, d in enumerate(detectors) if isinstance(d, Pattern)]

    def begins_a_token(rest: bytes) -> bool:
        at = bisect_left(spelled, rest)
        return at < len(spelled) and spelled[at].startswith(rest)

    for state, begun in enumerate(table.bytes.begun):
        rules = set()
        for pattern, count in begun:
            detector = detectors[place[pattern]]
            number = rule_of[place[pattern]]
            assert isinstance(detector, Pattern)
            rest = detector.text[count:] + b"\n" * detector.whole_line
            if switching.rules[number].before and begins_a_token(rest):
                rules.add(number)
        for number in sorted(rules, reverse=True):
            made[state, leaves[number]] = _target(switching, switching.rules[number])
    return made


def unmatched(preset: Preset, vocabulary: TokenBytes, where: str = "") -> list[Problem]:
    """The triggers of a preset that can never match in a vocabulary."""
    switching = Switching.of(preset)
    if switching is None:
        return []
    made = machine(switching, vocabulary)
    possible = made.table.possible()
    found = []
    added = dict(vocabulary.added)
    detector = 0
    for number, rule in enumerate(switching.rules):
        path, token = f"switch.{number}.on", rule.on.token
        if isinstance(token, str) and token not in added:
            close = nearest(token, list(added))
            found.append(Problem(where, f"{path}.token", "no such token", shown(token), "", close))
            continue
        if isinstance(token, int) and token >= len(vocabulary):
            allowed = f"ids below {len(vocabulary)}"
            found.append(Problem(where, f"{path}.token", "no such token", str(token), allowed))
        count = len(rule.on.texts) + (token is not None)
        own = range(detector, detector + count)
        detector += count
        if rule.on.texts and possible.isdisjoint(own):
            message = "can never match: the tokens of this vocabulary don't spell it"
            found.append(Problem(where, path, message, shown(list(rule.on.texts))))
    return found
