"""Which plugins a server is started with."""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from temperament.cli import main
from temperament.engines.vllm import plugins

PLUGINS = [
    EntryPoint("ascend", "ascend:register", "vllm.platform_plugins"),
    EntryPoint("resolver", "resolver:register", "vllm.general_plugins"),
    EntryPoint("statistics", "statistics:Logger", "vllm.stat_logger_plugins"),
    EntryPoint("images", "images:processor", "vllm.io_processor_plugins"),
    EntryPoint("another", "another:Endpoint", "vllm.endpoint_plugins"),
    EntryPoint("temperament", "temperament:Endpoint", "vllm.endpoint_plugins"),
]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets these plugins be installed, and no others. A fake: real ones need their hardware."""
    points = EntryPoints(PLUGINS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: points.select(group=group))


class TestLeftOut:
    """`left_out`."""

    def test_without_the_variable(self) -> None:
        """Without `VLLM_PLUGINS` vLLM leaves out no plugin."""
        assert [] == plugins.left_out({})

    def test_an_allowlist(self) -> None:
        """Plugins that aren't named are left out; endpoint plugins are off unless named anyway."""
        expected = ["ascend (vllm.platform_plugins)", "images (vllm.io_processor_plugins)"]

        assert expected == plugins.left_out({"VLLM_PLUGINS": "temperament,resolver,statistics"})


class TestAllOfThem:
    """`all_of_them`."""

    def test_without_the_variable(self) -> None:
        """All that vLLM would load, and Temperament; no other endpoint plugin is switched on."""
        expected = "ascend,resolver,images,statistics,temperament"

        assert expected == plugins.all_of_them({})

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("resolver", "resolver,temperament"),
            ("resolver,temperament", "resolver,temperament"),
            ("", "temperament"),
        ],
    )
    def test_a_choice_stays(self, value: str, expected: str) -> None:
        """What an operator left out stays out."""
        assert expected == plugins.all_of_them({"VLLM_PLUGINS": value})


class TestServe:
    """`temperament serve`."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
        """Catches the process that would be started, with its environment."""
        started: list[Any] = []

        def execv(path: str, arguments: list[str]) -> None:
            names = ("VLLM_PLUGINS", "TEMPERAMENT_PRESETS")
            started.append((path, arguments, [os.environ.get(name) for name in names]))
            raise SystemExit(0)

        monkeypatch.setattr(os, "execv", execv)
        monkeypatch.delenv("VLLM_PLUGINS", raising=False)
        monkeypatch.setenv("TEMPERAMENT_PRESETS", "/presets")
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        (tmp_path / "vllm").touch()
        return started

    def test_arguments_are_vllms(self, started: list[Any], tmp_path: Path) -> None:
        """All arguments behind the model go to vLLM, its own --help and --config too."""
        with pytest.raises(SystemExit):
            main(["--presets", "/more", "serve", "model", "--config", "c.yaml", "--help"])
        path, arguments, environment = started[0]

        assert str(tmp_path / "vllm") == path
        assert [path, "serve", "model", "--config", "c.yaml", "--help"] == arguments
        assert [
            "ascend,resolver,images,statistics,temperament",
            f"/presets{os.pathsep}/more",
        ] == environment

    def test_without_vllm(
        self,
        started: list[Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The command says what is missing."""
        (tmp_path / "vllm").unlink()
        monkeypatch.setenv("PATH", str(tmp_path))

        assert 1 == main(["serve", "model"])
        assert "vllm: the command isn't installed; allowed: pip install vllm" in (
            capsys.readouterr().err
        )
        assert [] == started
