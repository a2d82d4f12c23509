"""Names to presets: which definition wins, what extends what, and what a name may look like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from temperament.errors import PresetError, UnknownPreset
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.markers import configs as shipped

TEMPERATURES = {
    "code": 0.0,
    "math": 0.0,
    "data": 1.0,
    "chat": 1.3,
    "translation": 1.3,
    "creative": 1.5,
    "default": 1.0,
}
SHIPPED = Catalogue.load(environment=False)


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "expected"), TEMPERATURES.items())
def test_the_shipped_temperatures_are_those_of_the_table(name: str, expected: float) -> None:
    """Each scenario has its temperature, and nothing else is set."""

    assert {"temperature": expected} == SHIPPED[name].values


@pytest.mark.parametrize("name", TEMPERATURES)
def test_a_shipped_preset_is_described(name: str) -> None:
    """A shipped preset has a summary and an alias in English and in Chinese, and a source."""
    preset = SHIPPED[name]
    english = [alias for alias in (*preset.aliases, preset.name) if alias.isascii()]
    chinese = [alias for alias in preset.aliases if not alias.isascii()]

    assert {"en", "zh"} == set(preset.summary)
    assert preset.summary["en"].isascii()
    assert not preset.summary["zh"].isascii()
    assert all((english, chinese, preset.source))
    assert Path(preset.origin.removesuffix(":1")) == shipped() / "presets" / f"{name}.yaml"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("chat", "chat"),
        ("CHAT", "chat"),
        ("  Chat ", "chat"),
        ("ｃｈａｔ", "chat"),
        ("ＣＨＡＴ", "chat"),
        ("conversation", "chat"),
        ("Conversation", "chat"),
        ("通用对话", "chat"),
        ("诗歌创作", "creative"),
        ("代码", "code"),
        ("默认", "default"),
        ("code-generation", "code"),
        ("ｃｏｄｅ－ｇｅｎｅｒａｔｉｏｎ", "code"),
    ],
)
def test_a_word_finds_its_preset(word: str, expected: str) -> None:
    """Names and aliases of both languages are found in upper case and in full width too."""

    assert expected == SHIPPED.resolve(word).name


@pytest.mark.parametrize(
    ("word", "close"),
    [
        ("creativ", ("creative",)),
        ("Tranlation", ("translation",)),
        ("convrsation", ("conversation",)),
        ("通用对活", ("通用对话",)),
        ("zzz", ()),
        ("", ()),
        (None, ()),
        (7, ()),
        (["chat"], ()),
        ("chat\n\x1b[1m", ("chat",)),
        ("x" * 100_000, ()),
    ],
    ids=lambda value: str(value)[:20].strip(),
)
def test_an_unknown_word_gives_the_nearest_names(word: object, close: tuple[str, ...]) -> None:
    """An unknown name is an error that lists all names and the nearest, and never a default."""
    with pytest.raises(UnknownPreset) as caught:
        SHIPPED.resolve(word, "request")
    (problem,) = caught.value.problems

    assert ("request", "preset", close) == (problem.where, problem.path, problem.nearest[:1])
    assert all(name in problem.allowed for name in TEMPERATURES)
    assert "\n" not in str(problem)


def test_a_later_definition_replaces_an_earlier_one(tmp_path: Path) -> None:
    """Of shipped presets, first folder and second folder, the last that has a name wins."""
    first = folder(tmp_path / "first", chat="top_k: 1", mine="top_k: 1")
    second = folder(tmp_path / "second", mine="top_k: 2")
    loaded = Catalogue.load([first, second], environment=False)

    assert {"top_k": 1} == loaded["chat"].values
    assert {"top_k": 2} == loaded["mine"].values
    assert {*SHIPPED, "mine"} == set(loaded)
    assert len(SHIPPED) + 1 == len(loaded)


def test_the_environment_lists_folders_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`TEMPERAMENT_PRESETS` is a path list; later ones win, and what a call adds wins over all."""
    first = folder(tmp_path / "first", a="top_k: 1", b="top_k: 1", c="top_k: 1", d="top_k: 1")
    second = folder(tmp_path / "second", b="top_k: 2", c="top_k: 2")
    third = folder(tmp_path / "third", c="top_k: 3", d="top_k: 3")
    monkeypatch.setenv(
        "TEMPERAMENT_PRESETS", os.pathsep.join(["", str(first), str(second / "b.yaml"), ""])
    )

    def values(*paths: Path, environment: bool = True) -> dict[str, int]:
        loaded = Catalogue.load(paths, environment=environment)
        return {name: loaded[name].values["top_k"] for name in "abcd" if name in loaded}

    assert {"a": 1, "b": 2, "c": 1, "d": 1} == values()
    assert {"a": 1, "b": 2, "c": 3, "d": 3} == values(third)
    assert {"c": 3, "d": 3} == values(third, environment=False)


def test_a_missing_path_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All paths that don't exist are reported at once, each with the place that set it."""
    long = tmp_path / ("x" * 300)
    monkeypatch.setenv("TEMPERAMENT_PRESETS", str(tmp_path / "nowhere"))
    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path / "nobody.yaml", long])

    assert [
        ("TEMPERAMENT_PRESETS", "no such file or folder"),
        ("presets", "no such file or folder"),
        ("presets", "can't be read: File name too long"),
    ] == [(problem.where, problem.message) for problem in caught.value.problems]


def test_only_yaml_files_of_a_folder_are_read(tmp_path: Path) -> None:
    """Other files and folders in a folder of presets are left alone; `.yml` counts."""
    mixed = folder(tmp_path / "mixed", good="top_k: 1")
    (mixed / "README.md").write_text("not a preset")
    (mixed / "deeper").mkdir()
    (mixed / "deeper" / "wrong.yaml").write_text("wrong: 1")
    (mixed / "other.yml").write_text("top_k: 2")
    loaded = Catalogue.load([mixed], environment=False)

    assert {"good", "other"} == set(loaded) - set(SHIPPED)


def test_a_preset_extends_another(tmp_path: Path) -> None:
    """Values of all ancestors stay where the child sets none, in any order of the files."""
    path = folder(
        tmp_path / "chain",
        a="extends: b\ntop_k: 1",
        b="extends: c\ntop_k: 2\ntop_p: 0.2",
        c="extends: CHAT\nmin_p: 0.3\nseed: 3\norder: [min_p]\naliases: [sea]\nsource: c",
    )
    preset = Catalogue.load([path], environment=False)["a"]

    assert {"temperature": 1.3, "top_k": 1, "top_p": 0.2, "min_p": 0.3} == preset.values
    assert (("min_p",), {"seed": 3}) == (preset.order, preset.generation)
    assert ((), "") == (preset.aliases, preset.source)


def test_a_later_definition_may_extend_the_earlier_one_of_its_own_name(tmp_path: Path) -> None:
    """Three folders can each add to `chat`; its aliases stay until one of them sets others."""
    paths = [
        folder(tmp_path / "one", chat="extends: chat\ntop_k: 1"),
        folder(tmp_path / "two", chat="extends: chat\ntop_p: 0.5\ntemperature: 2"),
    ]
    two = Catalogue.load(paths, environment=False)
    paths.append(folder(tmp_path / "three", chat="extends: chat\naliases: [talk]"))
    three = Catalogue.load(paths, environment=False)

    assert {"temperature": 2.0, "top_k": 1, "top_p": 0.5} == two["chat"].values
    assert {"temperature": 2.0, "top_k": 1, "top_p": 0.5} == three["chat"].values
    assert "chat" == two.resolve("对话").name
    assert "chat" == three.resolve("talk").name
    with pytest.raises(UnknownPreset):
        three.resolve("对话")


def test_a_child_sees_the_latest_definition_of_its_parent(tmp_path: Path) -> None:
    """An override of a parent reaches the presets that extend it."""
    first = folder(tmp_path / "first", child="extends: chat")
    second = folder(tmp_path / "second", chat="temperature: 0.1")
    loaded = Catalogue.load([first, second], environment=False)

    assert {"temperature": 0.1} == loaded["child"].values


def test_a_preset_may_be_given_as_name_values_or_preset() -> None:
    """A name, a map of values and a `Preset` are accepted; a map can extend a name."""
    chat = SHIPPED["chat"]
    extended = as_preset({"extends": "chat", "top_k": 3}, SHIPPED)

    assert chat is as_preset(chat, SHIPPED)
    assert chat is as_preset("对话", SHIPPED)
    assert {"top_k": 3} == as_preset({"top_k": 3}, SHIPPED).values
    assert {"temperature": 1.3, "top_k": 3} == extended.values


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("nobody", "preset"),
        ({"extends": "nobody"}, "extends"),
        ({"top_k": "x"}, "top_k"),
        ({"\ud800": 1}, ""),
        ({1: 1}, "1"),
        ({"temperature": 10**5000}, "temperature"),
        ({"order": {"top_k", "top_p"}}, "order"),
        ({"logit_bias": {True: 1}}, "logit_bias.1"),
    ],
    ids=lambda value: str(type(value)),
)
def test_what_is_no_preset_is_refused(value: object, path: str) -> None:
    """Unknown names and wrong values from Python are reported like those of files."""
    with pytest.raises(PresetError) as caught:
        as_preset(value, SHIPPED)  # type: ignore[arg-type]

    assert [path] == [problem.path for problem in caught.value.problems]


def test_a_preset_is_a_key() -> None:
    """Presets can be keys of a cache: equal content, equal hash."""
    again = Catalogue.load(environment=False)

    assert SHIPPED["chat"] == again["chat"]
    assert hash(SHIPPED["chat"]) == hash(again["chat"])
    assert isinstance(SHIPPED["chat"], Preset)
