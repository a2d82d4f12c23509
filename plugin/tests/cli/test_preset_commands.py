"""The command line: what each command prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import pytest

from temperament.cli import main
from temperament.cli.output import table, width
from temperament.presets import Catalogue
from temperament.presets.groups import in_groups
from temperament.presets.json_schema import json_schema

SHIPPED = Catalogue.load(environment=False)
MIXED = """\
summary: {en: A mixture., zh: 混合。}
aliases: [混合]
logit_bias: {5: -100, 7: 2}
presence_penalty: 0.5
temperature: 0.7
top_p: 0.9
min_p: 0.05
stop: "\\n\\n"
source: "https://example.org"
"""


class Result:
    """What a command printed, and its code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process, in a world with no presets but the shipped ones."""
    for name in ("TEMPERAMENT_PRESETS", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path) -> Result:
        try:
            code = main([str(word) for word in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return call


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED, encoding="utf-8")
    return path


def columns(text: str) -> int:
    return sum(2 if east_asian_width(c) in ("W", "F") else 1 for c in text)


def test_list_shows_every_preset(run: Any) -> None:
    """`list` shows the name, aliases, parameters and summary of each preset."""
    result = run("list")
    head, *lines = result.out.splitlines()
    chat = next(line for line in lines if line.startswith("chat "))
    rows = [line for line in lines if line.split() and line.split()[0] in SHIPPED]
    titles = [group.title["en"].upper() for group, _ in in_groups(SHIPPED.values())]

    assert (0, "") == (result.code, result.err)
    assert list(SHIPPED) == [line.split()[0] for line in rows]
    assert titles == [line for line in lines if line and line not in rows]
    assert ["NAME", "ALIASES", "PARAMETERS", "SUMMARY"] == head.split()
    assert all(alias in chat for alias in SHIPPED["chat"].aliases)
    assert "temperature=1.3 (drawn at 0.6)" in chat
    assert {head.index("SUMMARY")} == {
        columns(line[: line.index(preset.summary["en"])])
        for line, preset in zip(rows, SHIPPED.values(), strict=True)
    }


@pytest.mark.parametrize(
    ("environment", "option", "expected"),
    [
        ({}, (), "en"),
        ({"LANG": "zh_CN.UTF-8"}, (), "zh"),
        ({"LANG": "de_DE.UTF-8"}, (), "en"),
        ({"LANG": "zh_TW.UTF-8", "LC_ALL": "C.UTF-8"}, (), "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN"}, (), "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, (), "zh"),
        ({"LANG": "zh_CN.UTF-8"}, ("--lang", "en"), "en"),
        ({}, ("--lang", "zh"), "zh"),
    ],
)
def test_summaries_are_in_the_language_of_the_reader(
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    option: tuple[str, ...],
    expected: str,
) -> None:
    """The locale decides, and `--lang` before it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    for arguments in (("list",), ("show", "chat"), ("explain", "chat", "--engine", "vllm")):
        out = run(*arguments, *option).out
        assert expected == "".join(
            language for language in ("en", "zh") if SHIPPED["chat"].summary[language] in out
        )


def test_a_summary_in_one_language_is_better_than_none(run: Any, tmp_path: Path) -> None:
    """Where the reader's language is missing, the other is shown; line breaks become spaces."""
    (tmp_path / "one.yaml").write_text("summary:\n  en: |\n    First\n    second.\n")

    assert "First second." in run("list", "--lang", "zh", "--presets", tmp_path).out


def test_a_long_table_of_biases_does_not_widen_the_list(run: Any, tmp_path: Path) -> None:
    """The parameters of a preset take at most 80 columns of the list."""
    biases = ", ".join(f"{token}: 1" for token in range(1000))
    (tmp_path / "long.yaml").write_text(f"logit_bias: {{{biases}}}")

    def width(*arguments: Any) -> int:
        return max(map(len, run("list", *arguments).out.splitlines()))

    assert width("--presets", tmp_path) <= width() + 80
    assert "999: 1.0" in run("show", "long", "--presets", tmp_path).out


def test_list_as_json(run: Any, mixed: Path) -> None:
    """Programs get every preset with all that is known of it."""
    listed = json.loads(run("list", "--json", "--presets", mixed).out)
    by_name = {preset["name"]: preset for preset in listed}

    examples = [name for name, preset in by_name.items() if preset["group"] == "examples"]
    others = [name for name in SHIPPED if name not in examples]

    assert [*others, "mixed", *examples] == list(by_name)
    assert "own" == by_name["mixed"]["group"]
    assert {"temperature": 1.3} == by_name["chat"]["values"]
    assert {"stop": ["\n\n"]} == by_name["mixed"]["generation"]
    assert {"en": "A mixture.", "zh": "混合。"} == by_name["mixed"]["summary"]


def test_show_tells_all(run: Any, mixed: Path) -> None:
    """`show` finds a preset by an alias and prints its values, chain, source, digest and file."""
    preset = Catalogue.load([mixed], environment=False)["mixed"]
    values = (
        "logit_bias={5: -100.0, 7: 2.0}, presence_penalty=0.5, temperature=0.7, top_p=0.9,"
        " min_p=0.05"
    )

    assert [
        "name        mixed",
        "summary     A mixture.",
        "aliases     混合",
        f"values      {values}",
        "order       default",
        "generation  stop=['\\n\\n']",
        f"chain       {values}",
        "source      https://example.org",
        f"digest      {preset.digest}",
        f"file        {mixed}:1",
    ] == run("show", "混合", "--presets", mixed).out.splitlines()


def test_show_of_an_empty_preset(run: Any, tmp_path: Path) -> None:
    """What is not set is a dash, and a chain of nothing says what that means."""
    (tmp_path / "empty.yaml").write_text("order: [top_p]")
    lines = run("show", "empty", "--presets", tmp_path).out.splitlines()

    assert "values      -" in lines
    assert "order       top_p" in lines
    assert "chain       empty: the model's own distribution" in lines


def test_show_as_json(run: Any, mixed: Path) -> None:
    """`show --json` has all fields, with biases as a map and the chain as stages."""
    shown = json.loads(run("show", "mixed", "--json", "--presets", mixed).out)

    assert {
        "name", "aliases", "summary", "values", "order", "generation", "chain", "source", "digest",
        "origin", "alone", "pick", "relative", "from_model", "temperature_scale", "drawn", "notes",
    } == set(shown)  # fmt: skip
    assert {"5": -100.0, "7": 2.0} == shown["values"]["logit_bias"]
    assert {"stage": "temperature", "values": {"temperature": 0.7}} == shown["chain"][2]
    assert f"{mixed}:1" == shown["origin"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (
            "creativ",
            "preset: unknown preset; given: 'creativ'; "
            f"allowed: {', '.join(SHIPPED)}; did you mean 'creative'?",
        ),
        ("", f"preset: unknown preset; given: ''; allowed: {', '.join(SHIPPED)}"),
    ],
)
@pytest.mark.parametrize("command", [("show",), ("explain", "--engine", "vllm")])
def test_an_unknown_name_ends_with_1(
    run: Any, command: tuple[str, ...], word: str, expected: str
) -> None:
    """The unknown names and the nearest ones are printed on stderr."""
    result = run(*command, word)

    assert (1, "", f"{expected}\n") == (result.code, result.out, result.err)


def test_check_counts_what_is_right(run: Any, tmp_path: Path, mixed: Path) -> None:
    """Without files the shipped presets are checked; files and folders add to them."""
    count = len(SHIPPED)
    (tmp_path / "chat.yaml").write_text("extends: chat\ntop_k: 3")

    for arguments, presets in (((), count), ((mixed,), count + 1), ((tmp_path, mixed), count + 1)):
        result = run("check", *arguments)
        assert (0, f"{presets} presets, no problems\n", "") == (
            result.code,
            result.out,
            result.err,
        )


def test_check_of_a_missing_file(run: Any) -> None:
    """A path that leads nowhere is a problem, not nothing to check."""
    result = run("check", "/no/where.yaml")

    assert (1, "") == (result.code, result.out)
    assert (
        "presets: no such file or folder; given: '/no/where.yaml';"
        " allowed: a YAML file or a folder of them\n"
    ) == result.err


def test_a_broken_preset_ends_every_command_with_1(run: Any, tmp_path: Path) -> None:
    """No command works on half a catalogue."""
    (tmp_path / "bad.yaml").write_text("top_p: 2")

    for arguments in (("list",), ("show", "chat"), ("explain", "chat", "--engine", "vllm")):
        result = run("--presets", tmp_path, *arguments)
        assert (1, "") == (result.code, result.out)
        assert "bad.yaml:1: top_p: not allowed" in result.err


def test_explain_tells_who_does_what(run: Any, mixed: Path) -> None:
    """`explain` lists each stage with values, side, reason and source, then other fields."""
    label = Catalogue.load([mixed], environment=False)["mixed"].label
    lines = run("explain", "mixed", "--engine", "vllm", "--presets", mixed).out.splitlines()
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    same, other = "vllm does the same, before the processor", "vllm applies min_p before top_p"

    assert [f"{label} on vllm, plan auto", "A mixture.", ""] == lines[:3]
    assert ["STAGE", "VALUES", "RUNS", "REASON", "SOURCE"] == rows[3]
    assert [
        ["1", "logit_bias", "logit_bias={5: -100.0, 7: 2.0}", "native", same],
        ["2", "presence_penalty", "presence_penalty=0.5", "native", same],
        ["3", "temperature", "temperature=0.7", "residual", other],
        ["4", "top_p", "top_p=0.9", "residual", other],
        ["5", "min_p", "min_p=0.05", "residual", other],
    ] == [row[:5] for row in rows[4:9]]
    assert "arXiv:2407.01082" in rows[8][5]
    assert ["", "Fields of vllm:", "logit_bias          {5: -100.0, 7: 2.0}"] == lines[9:12]
    assert "presence_penalty    0.5" in lines
    assert "temperature         1.0" in lines


def test_explain_tells_what_becomes_of_the_rest(run: Any, tmp_path: Path) -> None:
    """Each field beside the stages: where it goes on vLLM, offline and as a server, or why not."""
    (tmp_path / "p.yaml").write_text("max_new_tokens: 9\nguidance_scale: 1.5\nmax_length: 20")
    arguments = ("explain", "p", "--presets", tmp_path, "--engine")
    shown = run(*arguments, "vllm").out
    rows = json.loads(run(*arguments, "vllm", "--json", "--lang", "zh").out)["generation"]
    other = json.loads(run(*arguments, "transformers", "--json").out)["generation"]

    assert ["PARAMETER", "VALUE", "ON", "HOW", "WHERE", "REASON"] == shown.splitlines()[-7].split()
    assert "needs a second forward pass" in shown
    assert "需要第二次前向计算" in rows[-1]["reason"]
    assert [
        ("max_tokens", "vllm", "native", "max_tokens"),
        ("max_tokens", "server", "native", "max_tokens"),
        ("max_length", "vllm", "flag", "LLM(max_model_len=...)"),
        ("max_length", "server", "flag", "--max-model-len"),
        ("guidance_scale", "vllm", "refused", ""),
        ("guidance_scale", "server", "refused", ""),
    ] == [(row["parameter"], row["on"], row["how"], row["where"]) for row in rows]
    assert {"native"} == {row["how"] for row in other}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--engine", "vllm"), ["native"]),
        (("--engine", "vllm", "--platform", "cpu"), ["native"]),
        (("--engine", "vllm", "--plan", "residual"), ["residual"]),
        (("--engine", "transformers"), ["residual"]),
        (("--engine", "transformers", "--plan", "native"), ["residual"]),
    ],
)
def test_explain_follows_engine_platform_and_plan(
    run: Any, arguments: tuple[str, ...], expected: list[str]
) -> None:
    """The answer is that of `plan.split` for the engine, platform and plan that were given."""
    explained = json.loads(run("explain", "creative", *arguments, "--json").out)

    assert expected == [stage["side"] for stage in explained["stages"]]
    assert SHIPPED["creative"].label == explained["preset"]
    assert arguments[1] == explained["engine"]


def test_explain_on_a_slow_platform(run: Any, tmp_path: Path) -> None:
    """`--platform cpu` takes from vLLM what it does slowly there; `--plan native` gives it back."""
    (tmp_path / "p.yaml").write_text("top_p: 0.9\npresence_penalty: 1")
    arguments = ("explain", "p", "--engine", "vllm", "--json", "--presets", tmp_path)
    slow = json.loads(run(*arguments, "--platform", "cpu").out)
    forced = json.loads(run(*arguments, "--platform", "cpu", "--plan", "native").out)

    assert ["residual", "residual"] == [stage["side"] for stage in slow["stages"]]
    assert ["native", "native"] == [stage["side"] for stage in forced["stages"]]
    assert (1.0, 0.9) == (slow["fields"]["top_p"], forced["fields"]["top_p"])


def test_explain_of_nothing(run: Any) -> None:
    """A preset that changes nothing says so, and still shows the engine's neutral fields."""
    out = run("explain", "default", "--engine", "vllm").out

    assert "The chain is empty: the model's own distribution." in out
    assert "top_p               1.0" in out


def test_schema_is_the_schema(run: Any) -> None:
    """Editors get the JSON Schema of a preset file."""

    assert json_schema() == json.loads(run("schema").out)


def test_presets_may_be_added_before_and_after_the_command(run: Any, tmp_path: Path) -> None:
    """`--presets` may be repeated, in either place; later ones win."""
    paths = []
    for number in (1, 2, 3):
        path = tmp_path / str(number)
        path.mkdir()
        (path / "mine.yaml").write_text(
            f"extends: {'mine' if number > 1 else 'chat'}\ntop_k: {number}"
        )
        paths.append(path)
    first, second, third = paths
    arguments = ("--presets", first, "--presets", second, "show", "mine", "--json")

    assert {"temperature": 1.3, "top_k": 2} == json.loads(run(*arguments).out)["values"]
    assert {"temperature": 1.3, "top_k": 3} == json.loads(run(*arguments, "--presets", third).out)[
        "values"
    ]


def test_presets_of_the_environment_are_listed(
    run: Any, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`TEMPERAMENT_PRESETS` counts for the command line too."""
    monkeypatch.setenv("TEMPERAMENT_PRESETS", str(mixed))

    assert "mixed " in run("list").out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("lst",),
        ("list", "--colour"),
        ("list", "--js"),
        ("list", "--lang", "fr"),
        ("show",),
        ("show", "chat", "code"),
        ("explain", "chat"),
        ("explain", "chat", "--engine", "llama"),
        ("explain", "chat", "--engine", "vllm", "--platform", "abacus"),
        ("explain", "chat", "--engine", "vllm", "--plan", "maybe"),
        ("schema", "--json"),
        ("--presets",),
    ],
    ids=" ".join,
)
def test_misuse_ends_with_2(run: Any, arguments: tuple[str, ...]) -> None:
    """A command that isn't one tells its usage on stderr; no option is guessed from a part."""
    result = run(*arguments)

    assert (2, "") == (result.code, result.out)
    assert result.err.startswith("usage: temperament")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("list", "-h"), ("explain", "-h"), ("--version",)]
)
def test_help_ends_with_0(run: Any, arguments: tuple[str, ...]) -> None:
    """Help and version go to stdout."""
    result = run(*arguments)

    assert (0, "") == (result.code, result.err)
    assert result.out


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "temperament.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
    )


def test_a_broken_pipe_ends_quietly() -> None:
    """`temperament schema | head -1` prints no traceback."""
    process = start("schema")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # long before the interpreter is up
    err = process.stderr.read()
    process.stderr.close()

    assert (141, "") == (process.wait(), err)


def test_a_terminal_without_chinese_gets_escapes() -> None:
    """Characters that stdout can't show are escaped, not a traceback."""
    out, err = start("list", "--lang", "zh", PYTHONIOENCODING="ascii", PYTHONUTF8="0").communicate()

    assert "" == err
    assert "\\u5bf9\\u8bdd" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("abc", 3),
        ("对话", 4),
        ("Ａ，。", 6),
        ("ｱ", 1),
        ("e\u0301", 1),
        ("é", 1),
        ("。token", 7),
    ],
)
def test_a_text_has_a_width(text: str, expected: int) -> None:
    """Chinese and full-width characters are two columns wide, combining marks none."""

    assert expected == width(text)


def test_a_table_is_aligned_in_columns() -> None:
    """Cells are padded to the widest in columns, the last not at all; control characters vanish."""

    assert ["A     B", "对话  x", "a     对话", "a b"] == table(
        [("对话", "x"), ("a", "对话"), ("a\n\tb\x1b", "")], ("A", "B")
    ).splitlines()


def test_explain_a_request(run: Any, tmp_path: Path) -> None:
    """With a request's body, `explain` says which rule takes it, and why the others don't."""
    body = tmp_path / "body.json"
    body.write_text('{"messages": [], "response_format": {"type": "json_object"}}')
    label = SHIPPED["data"].label

    assert [
        f"auto>{label}",
        "",
        "RULE  WHEN      PRESET     OUTCOME  WHY",
        "1     tools     agent      no       no tools",
        "2     format    data       taken    response_format is json_object",
        "3     thinking  reasoning  later",
    ] == run("explain", "auto", "--request", body).out.splitlines()
    shown = json.loads(run("explain", "auto", "--request", body, "--json").out)
    assert ("data", f"auto>{label}") == (shown["picked"], shown["label"])


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "auto", "can't be read"),
        ("[]", "auto", "allowed: a JSON object"),
        ("{", "auto", "not a request"),
        ("{}", "chat", "picks nothing: it has no rules"),
    ],
)
def test_explain_what_is_no_request(
    run: Any, tmp_path: Path, content: str | None, name: str, message: str
) -> None:
    """A file without a body, or a preset without rules, is a problem."""
    body = tmp_path / "body.json"
    if content is not None:
        body.write_text(content)

    result = run("explain", name, "--request", body)

    assert 1 == result.code
    assert message in result.err
