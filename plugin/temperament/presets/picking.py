"""Rules by which a preset leaves the choice to the request: the first rule that applies picks.

A rule's conditions are flags of a request (`tools`, `format`, `thinking`, `open_fence`), and
patterns for its system prompt and its last message. All conditions of a rule must be met. A pattern
is that of file names (`*translate*`), without regard to case; of a text, `MAX_READ` characters are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from temperament.errors import Problem, nearest, shown
from temperament.presets.text_patterns import matches

if TYPE_CHECKING:
    from temperament.presets.preset import Preset
    from temperament.presets.problems import Locate

FLAGS = ("tools", "format", "thinking", "open_fence")
TEXTS = ("system", "last_message")
MAX_PICKS = 32
MAX_PATTERNS = 16  # of one condition
MAX_PATTERN = 128  # characters
MAX_READ = 8192  # characters of a text, from its beginning


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request is. A request of several conversations is what all of them are."""

    # by flag: what in the request sets it; a flag that isn't there isn't set
    flags: Mapping[str, str] = field(default_factory=dict)
    # by `TEXTS`: the text of each conversation
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PickRule:
    """If all conditions are met, the preset of this name is picked.

    `conditions` are pairs of a flag and whether it must be set, or of a text and its patterns, one
    of which must match.
    """

    conditions: tuple[tuple[str, bool | tuple[str, ...]], ...]
    preset: str

    def evidence(self, facts: RequestFacts) -> tuple[bool, str]:
        """Returns whether the rule applies to a request, and what in the request decides that."""
        found = []
        for name, condition in self.conditions:
            if isinstance(condition, bool):
                evidence = facts.flags.get(name, "")
                met, why = bool(evidence) is condition, evidence or f"no {name.replace('_', ' ')}"
            else:
                met, why = _matches(name, condition, facts.texts.get(name, ()))
            if not met:
                return False, why
            found.append(why)
        return True, "; ".join(found)

    def plain(self) -> dict[str, Any]:
        """Returns the map of a preset file."""
        when = {
            name: condition if isinstance(condition, bool) else list(condition)
            for name, condition in self.conditions
        }
        return {"when": when, "preset": self.preset}

    def __str__(self) -> str:
        parts = []
        for name, condition in self.conditions:
            if isinstance(condition, bool):
                parts.append(name if condition else f"not {name}")
            else:
                parts.append(f"{name} {' or '.join(map(repr, condition))}")
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one rule: `taken`, `no` (it doesn't apply), `barred` (its preset can't be used
    here) or `later` (an earlier rule was taken), and why.
    """

    rule: PickRule
    outcome: str
    why: str = ""


def verdicts(
    preset: Preset, facts: RequestFacts, barred: Callable[[str], str] = lambda _: ""
) -> list[Verdict]:
    """Returns the verdict on each rule of a preset for a request.

    `barred` returns why the preset of a name can't be used, "" if it can.
    """
    found: list[Verdict] = []
    taken = False
    for rule in preset.pick:
        applies, why = (False, "") if taken else rule.evidence(facts)
        if taken:
            found.append(Verdict(rule, "later"))
        elif not applies:
            found.append(Verdict(rule, "no", why))
        elif reason := barred(rule.preset):
            found.append(Verdict(rule, "barred", reason))
        else:
            taken = True
            found.append(Verdict(rule, "taken", why))
    return found


def pick_problems(
    data: Mapping[str, Any],
    find: Callable[[str], Preset | None],
    names: list[str],
    locate: Locate,
) -> Iterator[Problem]:
    """Yields the rules of a preset whose target doesn't exist, or picks by rules itself.

    `data` are the preset's unchecked fields: where one rule has a problem, the others are looked at
    too.
    """
    rules = data.get("pick")
    for number, rule in enumerate(rules[:MAX_PICKS] if isinstance(rules, list) else ()):
        name = rule.get("preset") if isinstance(rule, Mapping) else None
        if not isinstance(name, str) or not name:
            continue
        path = ("pick", number, "preset")
        target = find(name)
        where, dotted, wrong = locate(path), ".".join(map(str, path)), shown(name)
        if target is None:
            close = nearest(name, names)
            yield Problem(
                where, dotted, "unknown preset", wrong, "", close, reason="unknown_preset"
            )
        elif target.pick:
            yield Problem(where, dotted, "picks by rules itself", wrong, "a preset without 'pick'")


def _matches(name: str, patterns: tuple[str, ...], texts: tuple[str, ...]) -> tuple[bool, str]:
    """Returns whether each text matches one of the patterns, and which did or that none did."""
    label = name.replace("_", " ")
    if not texts:
        return False, f"no {label}"
    matched = []
    for text in texts:
        begin = text[:MAX_READ].casefold()
        hit = next((one for one in patterns if matches(one.casefold(), begin)), None)
        if hit is None:
            return False, f"the {label} matches no pattern"
        matched.append(hit)
    return True, f"the {label} matches {' and '.join(map(repr, dict.fromkeys(matched)))}"
