"""A preset's modes and rules over a vocabulary: which rule a trigger sets off in which mode.

This is the last of the automata. Texts are read with it token by token: by `tracer` on the host
and by `batch.row_modes` on the device.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from temperament.errors import Problem, nearest, shown
from temperament.plan.automata.patterns import Pattern
from temperament.plan.automata.triggers import Detector, TriggerAutomaton, trigger_automaton
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.mode_checks import first_mode
from temperament.presets.modes import AUTO, BACK, MAX_MODES, Rule
from temperament.presets.preset import Preset

NO_RULE = -1
TO_BACK = -1  # as a target: the mode before this one
SAME_MODE = -2  # as a target: no switch is pending
UNREACHED = 2**31 - 1  # more tokens than a text has

_NO_TOKENS = TokenBytes(())
_NAMED = re.compile(r"<[|｜].+[|｜]>")  # as special tokens are named


@dataclass(frozen=True, slots=True)
class Switching:
    """The modes of a preset and the rules between them, without their values; hashable."""

    modes: tuple[str, ...]
    # as the preset sets it: a mode's name, `auto`, or ""
    start: str
    rules: tuple[Rule, ...]
    # the index of the mode in which a text begins, unless the prompt decides (`auto`)
    first: int

    @classmethod
    def of(cls, preset: Preset) -> Switching | None:
        """Returns the modes and rules of a preset, None if it has no modes."""
        if not preset.modes:
            return None
        names = tuple(mode.name for mode in preset.modes)
        return cls(names, preset.start, preset.switch, names.index(first_mode(preset)))

    @property
    def auto(self) -> bool:
        """Whether the prompt decides in which mode a text begins."""
        return self.start == AUTO

    @property
    def uses_entropy(self) -> bool:
        """Whether the mode depends on more than the tokens."""
        return any(rule.on.kind == "entropy" for rule in self.rules)

    @property
    def repeats(self) -> bool:
        """Whether a rule looks for repetitions."""
        return any(rule.on.kind == "repeat" for rule in self.rules)

    @property
    def why_tokenizer(self) -> str:
        """Why these rules need the tokenizer; empty if they don't."""
        if any(rule.on.texts for rule in self.rules):
            return "switches on texts: the tokenizer must be given"
        if any(isinstance(rule.on.token, str) for rule in self.rules):
            return "switches on a token by its name: the tokenizer must be given"
        if self.auto:
            return "reads the prompt (start: auto): the tokenizer must be given"
        return ""


T = TypeVar("T")


class CountingRules(NamedTuple, Generic[T]):
    """The rules that end a mode by counting: one column for each number, all [modes].

    A mode without such a rule has NO_RULE, and numbers that no text reaches.
    """

    # the mode has had `limit` tokens
    limit: T
    limit_rule: T
    # the last `span` tokens occur `times` times in the output
    span: T
    times: T
    repeat_rule: T
    # the entropy in nats was over `above` (under `below`) for that number of steps in a row
    above: T
    above_steps: T
    above_rule: T
    below: T
    below_steps: T
    below_rule: T


@dataclass(frozen=True)
class ModeAutomaton:
    """Everything that decides a text's mode. Rules are indices into `switching.rules`."""

    switching: Switching
    triggers: TriggerAutomaton
    # [marks, modes] the rule that ends a mode at a mark of `triggers`, or NO_RULE
    choice: NDArray[np.int64]
    # [rules] the mode that a rule leads to, or TO_BACK
    target: NDArray[np.int64]
    # [rules] whether the trigger's last token belongs to the new mode
    before: NDArray[np.bool_]
    counting: CountingRules[NDArray[Any]]
    # [states, modes] the mode of the next token, if it may complete the trigger of a rule that
    # takes effect before its last token: a mode, TO_BACK, or SAME_MODE
    pending: NDArray[np.int64]
    # special tokens, and added ones that are named like them (`<｜User｜>` of DeepSeek), which are
    # no part of a trigger; a prompt's last turn begins after the last one
    turns: frozenset[int]

    @cached_property
    def longest_event(self) -> int:
        """The most marks in one event."""
        return max(map(len, self.triggers.tokens.events))


@lru_cache(maxsize=64)
def mode_automaton(switching: Switching, vocabulary: TokenBytes | None) -> ModeAutomaton:
    """Returns the automaton of a preset's modes over a vocabulary.

    Without a vocabulary no text ever ends. Raises `PresetError` if the texts need too many states.
    """
    known = _NO_TOKENS if vocabulary is None else vocabulary
    detectors: list[Detector] = []
    rule_of: list[int] = []  # by detector
    for number, rule in enumerate(switching.rules):
        of_rule = _detectors(rule, known)
        detectors += of_rule
        rule_of += [number] * len(of_rule)
    triggers = trigger_automaton(tuple(detectors), known)
    leaves = np.zeros((len(switching.rules), MAX_MODES), dtype=np.bool_)
    for number, rule in enumerate(switching.rules):
        leaves[number, : len(switching.modes)] = [rule.leaves(mode) for mode in switching.modes]
    choice = np.full((len(triggers.marks), MAX_MODES), NO_RULE, dtype=np.int64)
    for mark, (ended, _) in enumerate(triggers.marks):
        # The first rule that applies in a mode wins, so it is written last.
        for number in sorted({rule_of[d] for d in ended}, reverse=True):
            choice[mark, leaves[number]] = number
    return ModeAutomaton(
        switching=switching,
        triggers=triggers,
        choice=choice,
        target=np.array([_target(switching, rule) for rule in switching.rules], dtype=np.int64),
        before=np.array([rule.before for rule in switching.rules], dtype=np.bool_),
        counting=_counting(switching, leaves),
        pending=_pending(switching, triggers, leaves, detectors, rule_of, known),
        turns=_turns(detectors, known),
    )


def _detectors(rule: Rule, vocabulary: TokenBytes) -> list[Detector]:
    """Returns what a rule waits for, without a token name that the vocabulary doesn't have.

    A text with a special token's name in it is two patterns (`TokenBytes.spellings`).
    """
    on = rule.on
    found: list[Detector] = [
        Pattern(spelling, on.at_line_start, on.end_of)
        for text in on.texts
        for spelling in vocabulary.spellings(text)
    ]
    token = dict(vocabulary.added).get(on.token) if isinstance(on.token, str) else on.token
    return found if token is None else [*found, token]


def _target(switching: Switching, rule: Rule) -> int:
    return TO_BACK if rule.to == BACK else switching.modes.index(rule.to)


def _turns(detectors: list[Detector], vocabulary: TokenBytes) -> frozenset[int]:
    """Returns `ModeAutomaton.turns`."""
    # No text has the byte between them.
    texts = b"\xff".join({d.text: None for d in detectors if isinstance(d, Pattern)})
    tokens = {detector for detector in detectors if isinstance(detector, int)}
    named = ((token, name.encode()) for name, token in vocabulary.added if _NAMED.fullmatch(name))
    return frozenset(
        token
        for token, spelled in (*vocabulary.special, *named)
        if token not in tokens and not (texts and spelled in texts)
    )


_NO_RULES = CountingRules(
    limit=UNREACHED,
    limit_rule=NO_RULE,
    span=UNREACHED,
    times=UNREACHED,
    repeat_rule=NO_RULE,
    above=np.inf,
    above_steps=UNREACHED,
    above_rule=NO_RULE,
    below=-np.inf,
    below_steps=UNREACHED,
    below_rule=NO_RULE,
)


def _counting(switching: Switching, leaves: NDArray[np.bool_]) -> CountingRules[NDArray[Any]]:
    columns = CountingRules(*(np.full(MAX_MODES, value) for value in _NO_RULES))
    for number, rule in enumerate(switching.rules):
        modes, on = leaves[number], rule.on
        if on.tokens:
            columns.limit[modes], columns.limit_rule[modes] = on.tokens, number
        elif on.span:
            columns.span[modes], columns.times[modes] = on.span, on.times
            columns.repeat_rule[modes] = number
        elif on.above is not None:
            columns.above[modes], columns.above_steps[modes] = on.above, on.steps
            columns.above_rule[modes] = number
        elif on.below is not None:
            columns.below[modes], columns.below_steps[modes] = on.below, on.steps
            columns.below_rule[modes] = number
    return columns


def _pending(
    switching: Switching,
    triggers: TriggerAutomaton,
    leaves: NDArray[np.bool_],
    detectors: list[Detector],
    rule_of: list[int],
    vocabulary: TokenBytes,
) -> NDArray[np.int64]:
    """Returns `ModeAutomaton.pending`, [states, modes]."""
    pending = np.full((triggers.bytes.states, MAX_MODES), SAME_MODE, dtype=np.int64)
    if not any(rule.before for rule in switching.rules):
        return pending
    tokens = sorted(set(vocabulary.atomic))

    def begins_a_token(missing: bytes) -> bool:
        at = bisect_left(tokens, missing)
        return at < len(tokens) and tokens[at].startswith(missing)

    patterns = [
        (detector, number)
        for detector, number in zip(detectors, rule_of, strict=True)
        if isinstance(detector, Pattern)
    ]
    for state, begun in enumerate(triggers.bytes.begun):
        rules = set()
        for index, count in begun:
            pattern, number = patterns[index]
            missing = pattern.text[count:] + b"\n" * pattern.whole_line
            if switching.rules[number].before and begins_a_token(missing):
                rules.add(number)
        for number in sorted(rules, reverse=True):
            pending[state, leaves[number]] = _target(switching, switching.rules[number])
    return pending


def unmatched(preset: Preset, vocabulary: TokenBytes, where: str = "") -> list[Problem]:
    """Returns a problem for each trigger of a preset that can never match in a vocabulary."""
    switching = Switching.of(preset)
    if switching is None:
        return []
    possible = mode_automaton(switching, vocabulary).triggers.possible()
    names = [name for name, _ in vocabulary.added]
    problems = []
    next_detector = 0
    for number, rule in enumerate(switching.rules):
        of_rule = range(next_detector, next_detector + len(_detectors(rule, vocabulary)))
        next_detector = of_rule.stop
        path, token = f"switch.{number}.on", rule.on.token
        if isinstance(token, str) and token not in names:
            close = nearest(token, names)
            problems.append(
                Problem(where, f"{path}.token", "no such token", shown(token), "", close)
            )
        elif isinstance(token, int) and token >= len(vocabulary):
            allowed = f"ids below {len(vocabulary)}"
            problems.append(Problem(where, f"{path}.token", "no such token", str(token), allowed))
        elif rule.on.texts and possible.isdisjoint(of_rule):
            message = "can never match: the tokens of this vocabulary don't spell it"
            problems.append(Problem(where, path, message, shown(list(rule.on.texts))))
    return problems
