"""Modes in a preset: the allowed forms, how they are merged, and every way to be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from temperament import Catalogue, Preset, PresetError
from temperament.presets import as_preset
from temperament.presets.json_schema import json_schema
from temperament.presets.markers import markers
from temperament.presets.modes import MAX_TRIGGER_BYTES
from temperament.presets.schedule import Schedule

NOTHING = Catalogue({})
SCHEMA = jsonschema.Draft202012Validator(json_schema())
TWO: dict[str, Any] = {"modes": {"a": {}, "b": {"temperature": 0.5}}}


def preset_of(fields: dict[str, Any]) -> Preset:
    return as_preset(fields, NOTHING)


def problems(fields: dict[str, Any]) -> list[str]:
    with pytest.raises(PresetError) as caught:
        preset_of(fields)
    return [str(problem) for problem in caught.value.problems]


TRIGGERS: list[tuple[Any, str]] = [
    ({"text": "x"}, "'x'"),
    ({"text": ["x", "y"]}, "'x' or 'y'"),
    ({"text": "x", "at_line_start": True}, "'x' at a line's start"),
    ({"end_of": "```"}, "'```' alone in a line"),
    ({"token": 7}, "token 7"),
    ({"token": "</think>"}, "token </think>"),
    ({"tokens": 5}, "5 tokens"),
    ({"entropy": {"above": 2, "for": 3}}, "entropy above 2 for 3 steps"),
    ({"entropy": {"below": 0.5}}, "entropy below 0.5 for 1 steps"),
    ({"repeat": {"span": 8, "times": 3}}, "the same 8 tokens 3 times"),
    ("reasoning.end", "reasoning.end"),
]


@pytest.mark.parametrize(("trigger", "text"), TRIGGERS, ids=lambda value: str(value)[:30])
def test_every_trigger(trigger: Any, text: str) -> None:
    """A rule is valid by the JSON schema too, and its plain form gives the same rule."""
    fields = {**TWO, "switch": [{"from": "a", "on": trigger, "to": "b"}]}
    SCHEMA.validate(fields)
    (rule,) = preset_of(fields).switch

    assert str(rule.on) == text
    again = preset_of({**TWO, "switch": [rule.plain()]}).switch[0]
    assert again.plain() == rule.plain()


def test_a_marker_is_its_texts() -> None:
    """A marker in a rule becomes its texts."""
    preset = preset_of({**TWO, "switch": [{"on": "reasoning.end", "to": "b"}]})

    assert preset.switch[0].on.texts == markers()["reasoning.end"]
    assert {"</think>", "[/THINK]", "<channel|>"} < set(markers()["reasoning.end"])


class TestValues:
    """The values and the chain of each mode."""

    def test_a_mode_lies_over_its_preset(self) -> None:
        """A mode's values and order replace the preset's."""
        fields = {"top_k": 5, "top_p": 0.5, "order": ["top_k", "top_p"],
                 "modes": {"a": {"top_p": 0.7}, "b": {"order": ["top_p", "top_k"]}},
                 "switch": [{"on": {"text": "x"}, "to": "b"}]}  # fmt: skip
        a, b = preset_of(fields).chains.values()

        assert "Chain(top_k=5, top_p=0.7)" == repr(a)
        assert "Chain(top_p=0.5, top_k=5)" == repr(b)

    def test_a_mode_extends_a_mode_or_a_preset(self) -> None:
        """A mode extends another mode or a preset, also a preset of its own name."""
        catalogue = Catalogue.load(environment=False)
        modes = {
            "code": {"extends": "code"},
            "b": {"extends": "code", "top_p": 0.9},
            "c": {"extends": "creative"},
        }
        rules = [{"on": {"text": "x"}, "to": "b"}, {"on": {"text": "y"}, "to": "c"}]
        fields = {"modes": modes, "switch": rules}
        chains = as_preset(fields, catalogue).chains

        assert "Chain(temperature=0.0)" == repr(chains["code"])
        assert "Chain(temperature=0.0, top_p=0.9)" == repr(chains["b"])
        assert "Chain(temperature=0.8)" == repr(chains["c"])

    def test_an_override_holds_in_every_mode(self) -> None:
        """A value of a higher layer applies in every mode."""
        base = preset_of({**TWO, "switch": [{"on": {"text": "x"}, "to": "b"}]})
        chains = preset_of({"temperature": 0.9}).over(base).chains

        assert ["Chain(temperature=0.9)"] * 2 == [repr(chain) for chain in chains.values()]

    def test_extends_merges_modes(self, tmp_path: Path) -> None:
        """Modes of a child change only their values; rules stay; top-level values apply in all."""
        (tmp_path / "one.yaml").write_text(
            "modes: {a: {temperature: 2, top_k: 3}, b: {}}\nswitch: [{on: {text: x}, to: b}]\n"
        )
        (tmp_path / "two.yaml").write_text("extends: one\nmin_p: 0.1\nmodes: {a: {top_k: 4}}\n")
        catalogue = Catalogue.load([tmp_path], environment=False)
        two = catalogue["two"]

        assert "Chain(temperature=2.0, top_k=4, min_p=0.1)" == repr(two.chains["a"])
        assert "Chain(min_p=0.1)" == repr(two.chains["b"])
        assert two.switch == catalogue["one"].switch

    def test_the_digest_covers_modes(self) -> None:
        """The digest depends on the modes' values and order, on the start and on the rules."""
        rule = {"on": {"text": "x"}, "to": "b"}
        fields = [
            {**TWO, "switch": [rule]},
            {**TWO, "switch": [rule], "start": "auto"},
            {**TWO, "switch": [{"on": {"text": "y"}, "to": "b"}]},
            {"modes": {"a": {}, "b": {"temperature": 0.6}}, "switch": [rule]},
            {"modes": {"b": {}, "a": {}}, "switch": [{"on": {"text": "x"}, "to": "a"}]},
        ]

        assert len({preset_of(one).digest for one in fields}) == len(fields)

    def test_do_sample_false_is_greedy_in_every_mode(self) -> None:
        """With `do_sample: false` every mode is greedy."""
        preset = preset_of(
            {**TWO, "do_sample": False, "switch": [{"on": {"text": "x"}, "to": "b"}]}
        )

        assert {"Chain(temperature=0.0)"} == {repr(chain) for chain in preset.chains.values()}


class TestSchedules:
    """A number that changes with the position."""

    def test_a_schedule_is_kept(self) -> None:
        """A schedule is linear by default."""
        preset = preset_of({"temperature": {"from": 1.3, "to": 0.7, "over": 200}})

        assert preset.values["temperature"] == Schedule(1.3, 0.7, 200, "linear")
        assert ("temperature",) == preset.chain.names

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"temperature": {"from": 1, "to": -1, "over": 5}}, "'to' is outside the range: -1"),
            ({"top_p": {"from": 1.5, "to": 0, "over": 5}}, "'from' is outside the range: 1.5"),
            ({"top_k": {"from": 0, "to": 5, "over": 5}}, "'from' is off: 0"),
            ({"top_k": {"from": 2.5, "to": 5, "over": 5}}, "'from' is outside the range: 2.5"),
            ({"temperature": {"from": 1, "to": 2}}, "temperature.over: has no value"),
            ({"temperature": {"from": 1, "to": 2, "over": 0}}, "temperature.over: not allowed"),
            ({"temperature": {"from": 1, "to": 2, "over": 5, "curve": "x"}}, "temperature.curve"),
            ({"temperature": {"from": 1, "to": "2", "over": 5}}, "temperature.to: not allowed"),
            ({"mirostat": {"from": 1, "to": 2, "over": 5}}, "mirostat: not allowed"),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_is_no_schedule(self, fields: dict[str, Any], expected: str) -> None:
        """A schedule has all its fields, and both ends are in the parameter's range."""
        assert any(expected in problem for problem in problems(fields))


RULE = {"from": "a", "on": {"text": "x"}, "to": "b"}
BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("unknown names, all at once", {**TWO, "start": "c", "switch": [
        {"from": ["a", "d"], "on": {"text": "x"}, "to": "e"}]},
     ["preset: start: unknown mode; given: 'c'; allowed: a, b, auto",
      "preset: switch.0.from: unknown mode; given: 'd'; allowed: a, b",
      "preset: switch.0.to: unknown mode; given: 'e'; allowed: a, b, back"]),
    ("unknown names beside what isn't allowed", {**TWO, "start": "c", "top_k": "x", "switch": [
        {"from": ["a", "d"], "on": {"text": ""}, "to": "e"}]},
     ["preset: top_k: not allowed; given: 'x'; allowed: an integer in [0, 2147483647]",
      "preset: switch.0.on.text: not allowed; given: ''; allowed: a text or a list of 1 to 64 texts"
      " of 1 to 128 characters",
      "preset: start: unknown mode; given: 'c'; allowed: a, b, auto",
      "preset: switch.0.from: unknown mode; given: 'd'; allowed: a, b",
      "preset: switch.0.to: unknown mode; given: 'e'; allowed: a, b, back"]),
    ("unreachable", {**TWO, "switch": []},
     ["preset: modes.b: no rule leads here from 'a', where a text begins"]),
    ("unreachable behind unreachable", {"modes": {"a": {}, "b": {}, "c": {}}, "switch": [
        {"from": "b", "on": {"text": "x"}, "to": "c"}]},
     ["preset: modes.b: no rule leads here from 'a', where a text begins",
      "preset: modes.c: no rule leads here from 'a', where a text begins"]),
    ("an empty text", {**TWO, "switch": [{"on": {"text": ["x", ""]}, "to": "b"}]},
     ["preset: switch.0.on.text.1: not allowed; given: ''; allowed: a text or a list of 1 to 64"
      " texts of 1 to 128 characters"]),
    ("a rule that an earlier one hides", {**TWO, "switch": [
        RULE, {"from": "a", "on": {"text": "ax"}, "to": "b"}]},
     ["preset: switch.1.on: can never happen: an earlier rule takes every 'ax'"]),
    ("a rule that an earlier one hides, beside a wrong one", {**TWO, "switch": [
        RULE, {"on": {"txt": "x"}, "to": "b"}, {"from": "a", "on": {"text": "ax"}, "to": "b"},
        {"from": "c", "on": {"text": "ax"}, "to": "b"}]},
     ["preset: switch.1.on.txt: unknown name; given: 'x'",
      "preset: switch.2.on: can never happen: an earlier rule takes every 'ax'",
      "preset: switch.3.from: unknown mode; given: 'c'"]),
    ("a rule that an earlier one hides, beside an unknown mode", {**TWO, "start": "c", "switch": [
        RULE, {"from": "a", "on": {"text": "ax"}, "to": "b"}]},
     ["preset: start: unknown mode; given: 'c'",
      "preset: switch.1.on: can never happen: an earlier rule takes every 'ax'"]),
    ("a rule that leaves no mode", {"modes": {"a": {}}, "switch": [
        {"on": {"text": "x"}, "to": "a"}]},
     ["preset: switch.0.on: can never happen: there is no mode but 'a'"]),
    ("two counts in a mode", {**TWO, "switch": [
        {"on": {"tokens": 5}, "to": "b"}, {"from": "a", "on": {"tokens": 9}, "to": "b"}]},
     ["preset: switch.1.on: the second rule on 'tokens' in mode 'a': a mode can have one"]),
    ("back from where nothing leads", {**TWO, "switch": [
        RULE, {"from": "a", "on": {"text": "y"}, "to": "back"}]},
     ["preset: switch.1.to: no mode to go back to: no rule leads to this rule's modes;"
      " given: 'back'"]),
    ("a mode named back", {"modes": {"back": {}}},
     ["preset: modes.back: 'back' is a keyword of the rules and can't name a mode"]),
    ("before a token", {**TWO, "switch": [{**RULE, "on": {"token": 1}, "effect": "before"}]},
     ["preset: switch.0.effect: a trigger of kind 'token' has nothing before its last token;"
      " given: 'before'; allowed: after"]),
    ("rules without modes", {"switch": [RULE], "start": "a"},
     ["preset: start: needs modes", "preset: switch: needs modes"]),
    ("a circle", {"modes": {"a": {"extends": "b"}, "b": {"extends": "a"}}, "switch": [RULE]},
     ["preset: modes.a.extends: goes in a circle: b -> a -> b",
      "preset: modes.b.extends: goes in a circle: a -> b -> a"]),
    ("no such parent", {"modes": {"a": {"extends": "proze"}, "prose": {}}},
     ["preset: modes.a.extends: no mode and no preset has this name; given: 'proze'; allowed:"
      " prose; did you mean 'prose'?",
      "preset: modes.prose: no rule leads here from 'a', where a text begins"]),
    ("a misspelt value in a mode", {"modes": {"a": {"temprature": 1, "top_p": 2}}},
     ["preset: modes.a.top_p: not allowed; given: 2; allowed: a number in [0, 1]",
      "preset: modes.a.temprature: unknown name; did you mean 'temperature'"]),
    ("max_tokens in a mode", {"modes": {"a": {"max_tokens": 1}}},
     ["preset: modes.a.max_tokens: unknown name"]),
    ("a misspelt marker", {**TWO, "switch": [{"on": "reasoning.nd", "to": "b"}]},
     ["preset: switch.0.on: not allowed; given: 'reasoning.nd'"]),
    ("two triggers in one", {**TWO, "switch": [{"on": {"text": "a", "tokens": 1}, "to": "b"}]},
     ["preset: switch.0.on: set one of text, end_of, token, tokens, entropy, repeat, not 2"]),
    ("too many bytes", {**TWO, "switch": [
        {"from": "a", "on": {"text": ["x" * 99 + str(i) for i in range(10, 50)]}, "to": "b"}]},
     [f"preset: switch: the texts of the rules have 4040 bytes, more than {MAX_TRIGGER_BYTES}"]),
    ("too many modes", {"modes": {f"m{i}": {} for i in range(9)}},
     ["preset: modes: more than 8 entries"]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_cannot_be(fields: dict[str, Any], expected: list[str]) -> None:
    """Every problem of modes is reported at once, with its path."""
    found = problems(fields)

    assert len(found) == len(expected)
    for one, beginning in zip(sorted(found), sorted(expected), strict=True):
        assert one.startswith(beginning)


def test_a_file_tells_the_line(tmp_path: Path) -> None:
    """The problem of a rule and of a mode's value has its line."""
    (tmp_path / "bad.yaml").write_text(
        "modes:\n  a: {}\n  b: {}\nswitch:\n  - {from: a, on: {text: x}, to: c}\n"
    )
    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path], environment=False)

    assert f"{tmp_path}/bad.yaml:5: switch.0.to: unknown mode" in str(caught.value)


def test_a_mode_can_not_extend_a_preset_with_modes(tmp_path: Path) -> None:
    """A mode can't extend a preset that has modes."""
    (tmp_path / "bad.yaml").write_text("modes:\n  a: {extends: reasoning}\n")
    with pytest.raises(PresetError, match=r"bad\.yaml:2: modes\.a\.extends: has modes of its own"):
        Catalogue.load([tmp_path], environment=False)


@pytest.mark.parametrize("name", ["reasoning", "coding-assistant", "agent", "json-extraction",
                                  "story", "quoted-translation", "anti-loop"])  # fmt: skip
def test_the_shipped_presets_with_modes(name: str) -> None:
    """Each shipped preset with modes has a source and a summary in two languages."""
    catalogue = Catalogue.load(environment=False)
    preset = catalogue[name]
    serve = Path(preset.origin.rpartition(":")[0]).parents[1] / "serve" / f"{name}.yaml"

    assert len(preset.modes) > 1
    assert preset.source
    assert {"en", "zh"} <= preset.summary.keys()
    assert f'"default": "{name}"' in serve.read_text(encoding="utf-8")
