"""Problems of different parts of a file, of a map in a request, and of several files together."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from temperament.errors import MOST, PresetError
from temperament.presets import Catalogue, as_preset, family_files, mode_checks, problems
from temperament.presets.editing import set_values

# Parts of one preset, each with one problem, and the path and message of the problem.
PARTS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "value": ({"top_p": 2}, ("top_p", "not allowed")),
    "unknown name": ({"temprature": 1}, ("temprature", "unknown name")),
    "no value": ({"min_p": None}, ("min_p", "has no value")),
    "factor": ({"temperature": {"scale": -1}}, ("temperature", "not allowed")),
    "generation field": ({"max_tokens": 0}, ("max_tokens", "not allowed")),
    "order": ({"order": ["top_q"]}, ("order.0", "not allowed")),
    "extends": ({"extends": "chatt"}, ("extends", "unknown preset")),
    "schedule": (
        {"typical_p": {"from": 1, "to": 0.5, "over": 0}},
        ("typical_p.over", "not allowed"),
    ),
    "rule that picks": (
        {"pick": [{"when": "thinking", "preset": "chatt"}]},
        ("pick.0.preset", "unknown preset"),
    ),
    "section": ({"models": {"qwen*": {"top_k": -5}}}, ("models.qwen*.top_k", "not allowed")),
}
# The same for the parts of modes.
MODES: dict[str, Any] = {"prose": {}, "code": {}}
SWITCH: list[dict[str, Any]] = [{"from": "prose", "on": {"text": "x"}, "to": "code"}]
MODE_PARTS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "mode's value": (
        {"modes": {**MODES, "code": {"top_p": 3}}, "switch": SWITCH},
        ("modes.code.top_p", "not allowed"),
    ),
    "mode's extends": (
        {"modes": {**MODES, "code": {"extends": "proze"}}, "switch": SWITCH},
        ("modes.code.extends", "no mode and no preset has this name"),
    ),
    "rule's target": (
        {"modes": MODES, "switch": [*SWITCH, {"on": {"tokens": 5}, "to": "cod"}]},
        ("switch.1.to", "unknown mode"),
    ),
    "mode's schedule": (
        {
            "modes": {**MODES, "code": {"min_p": {"from": 0, "to": 1, "over": 9, "curv": 1}}},
            "switch": SWITCH,
        },
        ("modes.code.min_p.curv", "unknown name"),
    ),
    "start": ({"modes": MODES, "switch": SWITCH, "start": "cod"}, ("start", "unknown mode")),
    "unreachable mode": (
        {"modes": {**MODES, "list": {}}, "switch": SWITCH},
        ("modes.list", "no rule leads here from 'prose', where a text begins"),
    ),
}
PAIRS = [
    *combinations(PARTS, 2),
    *((part, mode_part) for mode_part in MODE_PARTS for part in PARTS),
]
ALL = {**PARTS, **MODE_PARTS}


def found_in(error: PresetError) -> set[tuple[str, str]]:
    """The paths and messages of an error's problems."""
    return {(problem.path, problem.message) for problem in error.problems}


def both(pair: tuple[str, str]) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """The fields of two parts together, and what must be reported."""
    (first, one), (second, other) = (ALL[part] for part in pair)
    # The unknown preset may have a rule that leads to the mode.
    if "extends" in pair and "unreachable mode" in pair:
        return {**first, **second}, {one}
    return {**first, **second}, {one, other}


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_a_file_reports_the_problems_of_two_parts(pair: tuple[str, str], tmp_path: Path) -> None:
    """Whatever two parts of a file are wrong, the problem of each is reported."""
    fields, expected = both(pair)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(fields, sort_keys=False))

    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path])

    assert expected == found_in(caught.value)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_a_map_reports_the_problems_of_two_parts(pair: tuple[str, str]) -> None:
    """A preset that is a map, as in a request, reports the problems of both parts too."""
    fields, expected = both(pair)

    with pytest.raises(PresetError) as caught:
        as_preset(fields, Catalogue.load())

    assert expected == found_in(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {
            "modes": {"a": {"top_p": 9}, "b": {}},
            "switch": [{"from": [f"c{n}" for n in range(5000)], "on": {"text": "x"}, "to": "b"}],
        },
        {"models": {f"m{n}": {f"x{i}": 1 for i in range(90)} for n in range(60)}},
    ],
    ids=["modes", "sections"],
)
def test_no_more_is_searched_than_is_reported(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest names are looked for only for problems that may be reported."""
    searched = []

    def nearest(name: object, _names: object) -> tuple[str, ...]:
        searched.append(name)
        return ()

    for module in (mode_checks, problems):
        monkeypatch.setattr(module, "nearest", nearest)
    with pytest.raises(PresetError, match="and more problems"):
        as_preset(values, Catalogue({}))

    assert len(searched) <= 2 * (MOST + 1)


def test_a_wrong_mode_and_its_rules() -> None:
    """All parts of modes at once: a value, what a mode extends, the start, and a rule's modes."""
    fields = {
        "modes": {"prose": {"top_p": 2}, "code": {"extends": "nothing"}, "list": 5},
        "start": "code2",
        "switch": [
            {"from": ["prose", "nowhere"], "on": {"text": "x"}, "to": "list"},
            {"on": {"text": ""}, "to": "elsewhere"},
        ],
    }
    with pytest.raises(PresetError) as caught:
        as_preset(fields, Catalogue.load())

    assert {
        ("modes.prose.top_p", "not allowed"),
        ("modes.list", "not allowed"),
        ("modes.code.extends", "no mode and no preset has this name"),
        ("start", "unknown mode"),
        ("switch.0.from", "unknown mode"),
        ("switch.1.on.text", "not allowed"),
        ("switch.1.to", "unknown mode"),
    } == found_in(caught.value)


def test_several_files_with_problems_of_different_parts(tmp_path: Path) -> None:
    """Files with a wrong value still take part in aliases, parents and modes."""
    files = {
        "base.yaml": "top_p: 2\naliases: [mine]\nmodes: {a: {}, b: {}}\n"
        "switch: [{on: {text: x}, to: b}]\n",
        "child.yaml": "extends: base\naliases: [mine]\nstart: c\n",
        "lost.yaml": "extends: bas\ntop_k: -7\n",
        "one.yaml": "extends: two\nmin_p: 2\n",
        "two.yaml": "extends: one\n",
        "Bad.yaml": "top_p: 3\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path], environment=False)

    problems = {
        (
            Path(problem.where.split(":")[0]).name,
            problem.path,
            problem.message.split(" is taken")[0],
        )
        for problem in caught.value.problems
    }
    assert {
        ("base.yaml", "top_p", "not allowed"),
        ("child.yaml", "aliases", "'mine'"),
        ("child.yaml", "start", "unknown mode"),
        ("lost.yaml", "extends", "unknown preset"),
        ("lost.yaml", "top_k", "not allowed"),
        ("one.yaml", "extends", "goes in a circle: two -> one -> two"),
        ("one.yaml", "min_p", "not allowed"),
        ("two.yaml", "extends", "goes in a circle: one -> two -> one"),
        ("Bad.yaml", "", "a file's name is its preset's name"),
        ("Bad.yaml", "top_p", "not allowed"),
    } == problems


def test_a_mode_can_extend_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Only the file's own problem is reported, not that the name is unknown."""
    (tmp_path / "broken.yaml").write_text("[")
    (tmp_path / "mine.yaml").write_text("modes: {a: {extends: broken}}\n")

    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path], environment=False)

    assert ["not valid YAML: did not find expected node content"] == [
        problem.message for problem in caught.value.problems
    ]


class TestModelFiles:
    """Files of `configs/models`."""

    def test_all_parts_of_a_file(self, tmp_path: Path) -> None:
        """All problems of a model's file are reported at once, each with its line."""
        path = tmp_path / "x.yaml"
        path.write_text(
            "title: 5\nrecommended: y\ncolour: red\nvalues:\n"
            "  a: {temperature: -1, source: s, read: '2026'}\n"
            "  b:\n    top_p: 0.5\n    top_k: -3\n"
        )
        with pytest.raises(PresetError) as caught:
            family_files.read_family(path)

        assert {
            (1, "title"),
            (2, "recommended"),
            (3, "colour"),
            (5, "values.a.temperature"),
            (6, "values.b"),
            (8, "values.b.top_k"),
        } == {(int(p.where.rpartition(":")[2]), p.path) for p in caught.value.problems}

    def test_several_files(self, tmp_path: Path) -> None:
        """The problems of all files are reported together."""
        for name in ("one", "two"):
            (tmp_path / f"{name}.yaml").write_text("title: 5\n")

        with pytest.raises(PresetError) as caught:
            family_files.read_families(tmp_path)

        assert {"one.yaml", "two.yaml"} == {
            Path(problem.where.split(":")[0]).name for problem in caught.value.problems
        }


def test_an_edited_file_reports_its_yaml_and_its_values() -> None:
    """A key that occurs twice and a wrong value are reported together."""
    with pytest.raises(PresetError) as caught:
        set_values("top_p: 0.5\ntop_k: -5\ntop_k: 5\n", {"min_p": 2})

    assert {"top_k", "min_p"} == {problem.path for problem in caught.value.problems}
