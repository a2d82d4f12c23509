"""What the modes and rules of a whole preset must fulfil: each rule's modes exist, each can happen.

The modes' `extends` are taken over here too, once it is known what the preset itself extends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from temperament.errors import Problem, nearest, shown
from temperament.presets.modes import (
    AUTO,
    BACK,
    MAX_MODES,
    MAX_RULES,
    MAX_TRIGGER_BYTES,
    Mode,
    Rule,
)
from temperament.presets.preset import Preset

Path = tuple[str | int, ...]
Place = Callable[[Path], str]


def take_over(
    preset: Preset, presets: Mapping[str, Preset], place: Place
) -> tuple[Preset, list[Problem]]:
    """`preset` with what its modes extend in their values, and what is wrong with that.

    A mode extends another mode of the preset or, where there is none of the name, one of `presets`.
    """
    modes = {mode.name: mode for mode in preset.modes}
    problems: list[Problem] = []

    def resolved(mode: Mode, above: tuple[str, ...]) -> Mode:
        parent, path = mode.parent, ("modes", mode.name, "extends")
        if parent is None:
            return mode
        if parent in above:
            circle = " -> ".join((*above, mode.name, parent))
            problems.append(_problem(place, path, f"goes in a circle: {circle}"))
        elif parent in modes and parent != mode.name:
            below = resolved(modes[parent], (*above, mode.name))
            return _over(mode, below.values, below.order)
        elif parent not in presets:
            known = [*(name for name in modes if name != mode.name), *presets]
            problems.append(
                _problem(place, path, "no mode and no preset has this name", parent, known)
            )
        elif presets[parent].modes:
            problems.append(_problem(place, path, "has modes of its own", parent))
        else:
            below_preset = presets[parent]
            return _over(mode, below_preset.values, below_preset.order)
        return replace(mode, parent=None)

    made = tuple(resolved(mode, ()) for mode in preset.modes)
    return replace(preset, modes=made), list(dict.fromkeys(problems))


def _over(mode: Mode, values: Mapping[str, Any], order: tuple[str, ...]) -> Mode:
    return replace(mode, values={**values, **mode.values}, order=mode.order or order, parent=None)


def problems(preset: Preset, place: Place) -> list[Problem]:
    """Everything that is wrong with a preset's modes, start and rules as a whole."""
    if not preset.modes:
        said = [name for name in ("start", "switch") if getattr(preset, name)]
        return [_problem(place, (name,), "needs modes") for name in said]
    found = list(_names(preset, place))
    if not found:  # what follows would tell the same in other words
        found += _unreachable(preset, place)
        found += _shadowed(preset, place)
        found += _nothing_behind(preset, place)
    size = sum(len(text.encode("utf-8", "replace")) for rule in preset.switch
               for text in rule.on.texts)  # fmt: skip
    if size > MAX_TRIGGER_BYTES:
        message = f"{size} bytes of texts, more than {MAX_TRIGGER_BYTES}: each is a state"
        found.append(_problem(place, ("switch",), message))
    return found


def unknown_modes(words: Mapping[str, Any], place: Place) -> list[Problem]:
    """The modes that `start` and rules name and that aren't there.

    For words of which some are wrong: all is told at once. What a parent has isn't known here.
    """
    modes, rules = words.get("modes"), words.get("switch")
    if not isinstance(modes, Mapping) or "extends" in words:
        return []
    named: list[tuple[Path, Any, str]] = [(("start",), words.get("start"), AUTO)]
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, Mapping):
            sources = rule.get("from")
            named += [
                (("switch", number, "from"), source, "")
                for source in (sources if isinstance(sources, list) else [sources])
            ]
            named.append((("switch", number, "to"), rule.get("to"), BACK))
    return [
        _problem(place, path, "unknown mode", name, [*map(str, modes), *filter(None, [word])])
        for path, name, word in named
        if isinstance(name, str) and name and name != word and name not in modes
    ]


def first(preset: Preset) -> str:
    """The mode in which a text begins, as far as the prompt doesn't tell another."""
    return preset.modes[0].name if preset.start in ("", AUTO) else preset.start


def _names(preset: Preset, place: Place) -> Iterator[Problem]:
    modes = [mode.name for mode in preset.modes]
    for name in modes:
        if name in (BACK, AUTO):
            yield _problem(place, ("modes", name), f"{name!r} is a word of the rules, not a mode")
    if len(modes) > MAX_MODES:
        yield _problem(place, ("modes",), f"more than {MAX_MODES} modes", str(len(modes)))
    if len(preset.switch) > MAX_RULES:
        yield _problem(place, ("switch",), f"more than {MAX_RULES} rules", str(len(preset.switch)))
    if preset.start and preset.start != AUTO and preset.start not in modes:
        yield _problem(place, ("start",), "unknown mode", preset.start, [*modes, AUTO])
    for number, rule in enumerate(preset.switch):
        for source in rule.sources:
            if source not in modes:
                path = ("switch", number, "from")
                yield _problem(place, path, "unknown mode", source, modes)
        if rule.to not in modes and rule.to != BACK:
            path = ("switch", number, "to")
            yield _problem(place, path, "unknown mode", rule.to, [*modes, BACK])
        if rule.before and rule.on.kind != "text":
            message = f"a trigger of kind {rule.on.kind!r} has nothing before its last token"
            yield _problem(place, ("switch", number, "effect"), message, "before", ["after"])


def _sources(rule: Rule, preset: Preset) -> list[str]:
    return [mode.name for mode in preset.modes if rule.leaves(mode.name)]


def _entered_from(preset: Preset) -> dict[str, set[str]]:
    """For each mode, those from which a rule leads to it by name."""
    before: dict[str, set[str]] = {mode.name: set() for mode in preset.modes}
    for rule in preset.switch:
        if rule.to != BACK:
            before[rule.to].update(_sources(rule, preset))
    return before


def _unreachable(preset: Preset, place: Place) -> Iterator[Problem]:
    before = _entered_from(preset)
    reached = {first(preset)}
    while True:
        more = {mode for mode, sources in before.items() if sources & reached} - reached
        if not more:
            break
        reached |= more
    for mode in preset.modes:
        if mode.name not in reached:
            message = f"no rule leads here from {first(preset)!r}, where a text begins"
            yield _problem(place, ("modes", mode.name), message)


def _shadowed(preset: Preset, place: Place) -> Iterator[Problem]:
    """Rules of which an earlier one leaves nothing."""
    for number, rule in enumerate(preset.switch):
        left = set(_sources(rule, preset))
        for earlier in preset.switch[:number]:
            if _takes(earlier, rule):
                left -= set(_sources(earlier, preset))
        if not left:
            message = f"can never happen: an earlier rule takes every {rule.on}"
            yield _problem(place, ("switch", number, "on"), message)
    for mode in preset.modes:
        for kind in ("tokens", "repeat", "above", "below"):
            own = [
                number
                for number, rule in enumerate(preset.switch)
                if rule.leaves(mode.name) and _counts(rule, kind)
            ]
            for number in own[1:]:
                message = f"the second of {kind!r} in mode {mode.name!r}: one is looked at"
                yield _problem(place, ("switch", number, "on"), message)


def _counts(rule: Rule, kind: str) -> bool:
    if kind in ("above", "below"):
        return getattr(rule.on, kind) is not None
    return rule.on.kind == kind


def _takes(earlier: Rule, rule: Rule) -> bool:
    if earlier.on.kind != rule.on.kind:
        return False
    if rule.on.kind == "token":
        return earlier.on.token == rule.on.token
    if rule.on.kind != "text":
        return False
    same_end = earlier.on.end_of == rule.on.end_of
    wider = not earlier.on.at_line_start or rule.on.at_line_start
    return same_end and wider and all(
        any(text.endswith(taken) if wider and not earlier.on.at_line_start and not rule.on.end_of
            else text == taken for taken in earlier.on.texts)
        for text in rule.on.texts
    )  # fmt: skip


def _nothing_behind(preset: Preset, place: Place) -> Iterator[Problem]:
    """Rules to `back` in modes that no rule enters."""
    before = _entered_from(preset)
    for number, rule in enumerate(preset.switch):
        if rule.to == BACK and not any(before[mode] for mode in _sources(rule, preset)):
            path = ("switch", number, "to")
            yield _problem(place, path, "nothing lies behind: no rule leads to its modes", BACK)


def _problem(
    place: Place, path: Path, message: str, given: str = "", allowed: list[str] | None = None
) -> Problem:
    return Problem(
        place(path),
        ".".join(map(str, path)),
        message,
        shown(given) if given else "",
        ", ".join(allowed or ()),
        nearest(given, allowed or ()),
    )
