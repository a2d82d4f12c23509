"""The commands that look at models, with a source of known logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from temperament.cli import main, studio_commands
from tests.studio.known import KnownSource


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command whose `--model` is the known source: (code, stdout, stderr)."""
    for name in ("TEMPERAMENT_PRESETS", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(studio_commands, "local_model", lambda folder: KnownSource())

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_inspect_prints_a_table(run: Any, tmp_path: Path) -> None:
    """Each preset has its stages; a figure is drawn where it is asked for."""
    arguments = ("inspect", "creative", "code", "--model", "m", "--prompt", "a")
    code, out, err = run(*arguments, "--png", tmp_path / "i.png", "--svg", tmp_path / "i.svg")

    assert (0, "") == (code, err)
    assert "creative@" in out
    assert "code@" in out
    assert {"i.png", "i.svg"} == {path.name for path in tmp_path.iterdir()}


def test_inspect_prints_json(run: Any, tmp_path: Path) -> None:
    """`--json` gives the numbers, of a preset of one's own too."""
    (tmp_path / "mine.yaml").write_text("top_k: 2", encoding="utf-8")
    arguments = (
        "--presets",
        tmp_path,
        "inspect",
        "mine",
        "--model",
        "m",
        "--prompt",
        "a",
        "--json",
    )
    report = json.loads(run(*arguments, "--top", "3")[1])

    assert 3 == len(report["tokens"])
    assert ["", "top_k"] == [stage["stage"] for stage in report["presets"][0]["stages"]]


def test_every_unknown_preset_is_told(run: Any) -> None:
    """Two misspelt names are two problems."""
    code, out, err = run("inspect", "creatve", "chta", "--model", "m", "--prompt", "a")
    one, other = err.splitlines()

    assert (1, "") == (code, out)
    assert "did you mean 'creative'" in one
    assert "did you mean 'chat'" in other


def test_plot_draws_any_logits(run: Any, tmp_path: Path) -> None:
    """A file of logits and a prompt's: the figures that are asked for, in either kind."""
    np.save(tmp_path / "l.npy", np.random.RandomState(0).normal(size=20))
    arguments = ("plot", "--logits", tmp_path / "l.npy", "--out", tmp_path / "one")
    _, out, _ = run(*arguments, "--figure", "kept", "--figure", "map", "--format", "svg")
    code, _, err = run("plot", "--model", "m", "--prompt", "a", "--out", tmp_path / "all")

    assert f"{tmp_path}/one/kept.svg\n{tmp_path}/one/map.svg\n" == out
    assert (0, "") == (code, err)
    assert set(studio_commands.FIGURES) == {path.stem for path in (tmp_path / "all").iterdir()}


def test_plot_needs_a_prompt_for_a_model(run: Any, tmp_path: Path) -> None:
    """A model alone has no logits."""
    code, out, err = run("plot", "--model", "m", "--out", tmp_path)

    assert (1, "") == (code, out)
    assert "--prompt: missing" in err


def test_the_figures_names_are_those_that_are_drawn() -> None:
    """The command line knows them without loading torch."""
    from temperament.studio.figures.draw_curves import FIGURES

    assert tuple(FIGURES) == studio_commands.FIGURES


def test_a_folder_without_a_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What isn't a Transformers folder is refused before anything is loaded."""
    code = main(["inspect", "chat", "--model", str(tmp_path), "--prompt", "a"])

    assert 1 == code
    assert f"--model: not a model; given: '{tmp_path}'" in capsys.readouterr().err


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused connection is a sentence."""
    code = main(["inspect", "chat", "--server", "http://127.0.0.1:9", "--prompt", "a"])

    assert 1 == code
    assert "--server: doesn't answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "chat", "--prompt", "a"),
        ("inspect", "chat", "--model", "m"),
        ("inspect", "--model", "m", "--prompt", "a"),
        ("inspect", "chat", "--model", "m", "--server", "s", "--prompt", "a"),
        ("inspect", "chat", "--model", "m", "--prompt", "a", "--top", "0"),
        ("plot", "--model", "m", "--prompt", "a"),
        ("plot", "--logits", "f", "--out", "d", "--figure", "pie"),
    ],
    ids=" ".join,
)
def test_misuse_ends_with_2(run: Any, arguments: tuple[str, ...]) -> None:
    """A command that isn't one tells its usage."""
    code, out, err = run(*arguments)

    assert (2, "") == (code, out)
    assert err.startswith("usage: temperament")
