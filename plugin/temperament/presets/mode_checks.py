"""The checks that need all modes and rules of a preset together.

They run once the preset is merged with what it extends; the modes are then merged with what they
extend.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from temperament.errors import MOST, Problem, nearest, shown
from temperament.presets.modes import (
    AUTO,
    BACK,
    MAX_MODES,
    MAX_RULES,
    MAX_TRIGGER_BYTES,
    Mode,
    Rule,
)
from temperament.presets.preset import Preset, mode_as_preset, mode_extending
from temperament.presets.problems import Locate
from temperament.presets.source import Path


def extend_modes(
    preset: Preset,
    presets: Mapping[str, Preset],
    locate: Locate,
    also_known: Collection[str] = (),
) -> tuple[Preset, list[Problem]]:
    """`preset` with the values that its modes extend, and every problem with that.

    A mode extends another mode of the preset or, where none has the name, one of `presets`.
    `also_known` are names that exist, whose problems are reported elsewhere.
    """
    modes = {mode.name: mode for mode in preset.modes}
    problems: list[Problem] = []

    def extended(mode: Mode, children: tuple[str, ...]) -> Mode:
        parent, path = mode.parent, ("modes", mode.name, "extends")
        if parent is None:
            return mode
        if parent in children:
            circle = " -> ".join((*children, mode.name, parent))
            problems.append(_problem(locate, path, f"goes in a circle: {circle}"))
        elif parent in modes and parent != mode.name:
            base = extended(modes[parent], (*children, mode.name))
            return mode_extending(mode, mode_as_preset(base))
        elif parent in presets and presets[parent].modes:
            problems.append(_problem(locate, path, "has modes of its own", parent))
        elif parent in presets:
            return mode_extending(mode, presets[parent])
        elif parent not in also_known:
            known = [*(name for name in modes if name != mode.name), *presets]
            message = "no mode and no preset has this name"
            problems.append(_problem(locate, path, message, parent, known))
        return replace(mode, parent=None)

    all_extended = tuple(extended(mode, ()) for mode in preset.modes)
    return replace(preset, modes=all_extended), list(dict.fromkeys(problems))


def mode_problems(preset: Preset, locate: Locate, *, shadowed: bool = True) -> list[Problem]:
    """Every problem of a preset's modes, start and rules together.

    Each rule must name modes that exist, and each mode and rule must be able to take effect.
    With `shadowed`, a rule that can't apply because of an earlier one is a problem. It isn't one in
    a preset that is already bound to a model, whose marks may equal the texts of another rule.
    """
    if not preset.modes:
        fields = [name for name in ("start", "switch") if getattr(preset, name)]
        return [_problem(locate, (name,), "needs modes") for name in fields]
    problems = list(_name_problems(preset, locate))
    if not problems:  # otherwise these would report the same mistakes again
        problems += _unreachable_modes(preset, locate)
        problems += _second_counters(preset, locate)
        problems += _returns_to_nowhere(preset, locate)
    if shadowed:
        modes = {mode.name for mode in preset.modes}
        rules = {n: rule for n, rule in enumerate(preset.switch) if modes.issuperset(rule.sources)}
        problems += shadowed_rules(rules, modes, locate)
    for mode in preset.modes:
        if mode.unbound is not None and mode.unbound.fallback and not mode.unbound.from_model:
            message = "the mode extends no preset of the model's values"
            problems.append(_problem(locate, ("modes", mode.name, "fallback"), message))
    texts = {text for rule in preset.switch for text in rule.on.texts}
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if size > MAX_TRIGGER_BYTES:
        message = f"the texts of the rules have {size} bytes, more than {MAX_TRIGGER_BYTES}"
        problems.append(_problem(locate, ("switch",), message))
    return problems


def unknown_modes(
    data: Mapping[str, Any],
    modes: Collection[str],
    locate: Locate,
    also_known: Collection[str] = (),
) -> list[Problem]:
    """Returns a problem for each mode that `start` or a rule names and that doesn't exist.

    For `data` in which a mode or a rule has a problem already, so that `mode_problems` can't check
    it. `modes` exist, and those of `also_known` may: a preset that can't be found may have them.
    """
    if not modes and not also_known:
        return []
    known = [str(name) for name in data["modes"]] if isinstance(data.get("modes"), Mapping) else []
    known += sorted(set(modes) - set(known))
    named: list[tuple[Path, Any, str]] = [(("start",), data.get("start"), AUTO)]
    rules = data.get("switch")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, Mapping):
            sources = rule.get("from")
            named += [
                (("switch", number, "from"), source, "")
                for source in (sources if isinstance(sources, list) else [sources])
            ]
            named.append((("switch", number, "to"), rule.get("to"), BACK))
    unknown = (
        _problem(locate, path, "unknown mode", name, [*known, *filter(None, [keyword])])
        for path, name, keyword in named
        if isinstance(name, str)
        and name
        and name != keyword
        and name not in known
        and name not in also_known
    )
    return list(islice(unknown, MOST + 1))  # no more are reported


def first_mode(preset: Preset) -> str:
    """The mode in which a text begins, unless `start: auto` reads another one from the prompt."""
    return preset.modes[0].name if preset.start in ("", AUTO) else preset.start


def _name_problems(preset: Preset, locate: Locate) -> Iterator[Problem]:
    modes = [mode.name for mode in preset.modes]
    for name in modes:
        if name in (BACK, AUTO):
            message = f"{name!r} is a keyword of the rules and can't name a mode"
            yield _problem(locate, ("modes", name), message)
    if len(modes) > MAX_MODES:
        yield _problem(locate, ("modes",), f"more than {MAX_MODES} modes", str(len(modes)))
    if len(preset.switch) > MAX_RULES:
        count = str(len(preset.switch))
        yield _problem(locate, ("switch",), f"more than {MAX_RULES} rules", count)
    if preset.start and preset.start != AUTO and preset.start not in modes:
        yield _problem(locate, ("start",), "unknown mode", preset.start, [*modes, AUTO])
    for number, rule in enumerate(preset.switch):
        for source in rule.sources:
            if source not in modes:
                path = ("switch", number, "from")
                yield _problem(locate, path, "unknown mode", source, modes)
        if rule.to not in modes and rule.to != BACK:
            path = ("switch", number, "to")
            yield _problem(locate, path, "unknown mode", rule.to, [*modes, BACK])
        if rule.before and rule.on.kind != "text":
            message = f"a trigger of kind {rule.on.kind!r} has nothing before its last token"
            yield _problem(locate, ("switch", number, "effect"), message, "before", ["after"])


def _sources(rule: Rule, preset: Preset) -> list[str]:
    return [mode.name for mode in preset.modes if rule.leaves(mode.name)]


def _entered_from(preset: Preset) -> dict[str, set[str]]:
    """For each mode, the modes from which a rule leads to it by name."""
    sources: dict[str, set[str]] = {mode.name: set() for mode in preset.modes}
    for rule in preset.switch:
        if rule.to != BACK:
            sources[rule.to].update(_sources(rule, preset))
    return sources


def _reached(preset: Preset) -> set[str]:
    """The modes to which rules lead from the one in which a text begins."""
    entered_from = _entered_from(preset)
    reached = {first_mode(preset)}
    while True:
        new = {mode for mode, sources in entered_from.items() if sources & reached} - reached
        if not new:
            return reached
        reached |= new


def without_never(preset: Preset) -> Preset:
    """Returns `preset` without rules that never apply, and without modes that only they enter."""
    if not any(rule.on.never for rule in preset.switch):
        return preset
    rest = replace(preset, switch=tuple(r for r in preset.switch if not r.on.never))
    reached = _reached(rest)
    entered = {mode for mode, sources in _entered_from(rest).items() if sources & reached}
    rules = []
    for rule in rest.switch:
        sources = {mode for mode in _sources(rule, rest) if mode in reached}
        if sources and (rule.to in reached or (rule.to == BACK and sources & entered)):
            kept = tuple(mode for mode in rule.sources if mode in reached)
            rules.append(replace(rule, sources=kept))
    modes = tuple(mode for mode in rest.modes if mode.name in reached)
    return replace(rest, modes=modes, switch=tuple(rules))


def _unreachable_modes(preset: Preset, locate: Locate) -> Iterator[Problem]:
    reached = _reached(preset)
    for mode in preset.modes:
        if mode.name not in reached:
            message = f"no rule leads here from {first_mode(preset)!r}, where a text begins"
            yield _problem(locate, ("modes", mode.name), message)


def shadowed_rules(
    rules: Mapping[int, Rule], modes: Collection[str], locate: Locate
) -> Iterator[Problem]:
    """Rules that never apply: in each of their modes, an earlier rule has the same trigger.

    `rules` are the rules by number, without those that have another problem; `modes` are the names
    of all modes.
    """
    taken: dict[int, list[str]] = {}
    for number, rule in rules.items():
        taken[number] = [mode for mode in modes if rule.leaves(mode)]
        earlier = [place for place in taken if place < number and _covers(rules[place], rule)]
        if not set(taken[number]).difference(*(taken[place] for place in earlier)):
            reason = f"an earlier rule takes every {rule.on}"
            if not taken[number]:
                reason = f"there is no mode but {rule.to!r}"
            yield _problem(locate, ("switch", number, "on"), f"can never happen: {reason}")


def _second_counters(preset: Preset, locate: Locate) -> Iterator[Problem]:
    """Rules that need a second counter of a kind of which each mode has only one."""
    for mode in preset.modes:
        for counter in ("tokens", "repeat", "above", "below"):
            numbers = [
                number
                for number, rule in enumerate(preset.switch)
                if rule.leaves(mode.name) and _uses(rule, counter)
            ]
            for number in numbers[1:]:
                message = (
                    f"the second rule on {counter!r} in mode {mode.name!r}: a mode can have one"
                )
                yield _problem(locate, ("switch", number, "on"), message)


def _uses(rule: Rule, counter: str) -> bool:
    if counter in ("above", "below"):
        return getattr(rule.on, counter) is not None
    return rule.on.kind == counter


def _covers(earlier: Rule, rule: Rule) -> bool:
    """Whether the earlier rule's trigger occurs wherever the other one's does."""
    first, second = earlier.on, rule.on
    if second.marker and second.bound:  # the texts are the model's: its author can't change them
        return False
    if first.kind != second.kind:
        return False
    if first.kind == "token":
        return first.token == second.token
    if first.kind != "text" or first.end_of != second.end_of:
        return False
    if first.at_line_start and not second.at_line_start:
        return False
    anywhere = not first.at_line_start and not first.end_of
    return all(
        any(text.endswith(other) if anywhere else text == other for other in first.texts)
        for text in second.texts
    )


def _returns_to_nowhere(preset: Preset, locate: Locate) -> Iterator[Problem]:
    """Rules to `back` in modes that no rule enters, so that there is no mode to go back to."""
    entered_from = _entered_from(preset)
    for number, rule in enumerate(preset.switch):
        if rule.to == BACK and not any(entered_from[mode] for mode in _sources(rule, preset)):
            message = "no mode to go back to: no rule leads to this rule's modes"
            yield _problem(locate, ("switch", number, "to"), message, BACK)


def _problem(
    locate: Locate, path: Path, message: str, value: str = "", allowed: list[str] | None = None
) -> Problem:
    return Problem(
        locate(path),
        ".".join(map(str, path)),
        message,
        shown(value) if value else "",
        ", ".join(allowed or ()),
        nearest(value, allowed or ()),
    )
