"""`temperament serve`: a preset of one's own, and the plugin beside those of other packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.harness.ask import COMPLETIONS, ask
from integration_tests.harness.models import ROOT
from integration_tests.harness.server import ON_SHARED_CORES, Server

PLUGINS = """
from pathlib import Path
from vllm.v1.metrics.loggers import StatLoggerBase

HERE = Path(__file__).parent

def register():
    (HERE / "general").touch()

class Logger(StatLoggerBase):
    def __init__(self, vllm_config, engine_index=0):
        (HERE / "logger").touch()

    def record(self, *arguments, **named):
        (HERE / "recorded").touch()

    def log_engine_initialized(self):
        pass
"""
ENTRY_POINTS = """
[vllm.general_plugins]
another_general = another_package:register
[vllm.stat_logger_plugins]
another_logger = another_package:Logger
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed package that registers a general plugin and a stat logger with vLLM."""
    folder = tmp_path_factory.mktemp("another")
    (folder / "another_package.py").write_text(PLUGINS)
    metadata = folder / "another_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: another-package\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture(scope="module")
def server(
    package: Path, tiny_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that `temperament serve --presets poems.yaml` starts, with the README's file."""
    [preset] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    poems = tmp_path_factory.mktemp("presets") / "poems.yaml"
    poems.write_text(preset, encoding="utf-8")
    server = Server(
        tiny_path,
        "v1",
        ["--served-model-name", "tiny", "--max-model-len", "256"],
        env=ON_SHARED_CORES,
        start=("temperament", "serve", "--presets", str(poems)),
    )
    del server.env["VLLM_PLUGINS"]
    server.env["PYTHONPATH"] = ":".join(filter(None, [str(package), server.env.get("PYTHONPATH")]))
    with server:
        yield server


@pytest.mark.parametrize("preset", ["code", "poems"])
def test_the_presets_are_there(server: Server, preset: str) -> None:
    """A request names its preset, one of the built-in ones or of the file, and gets it."""
    answer = ask(server, COMPLETIONS, "tiny", preset=preset)

    assert 200 == answer.status
    assert re.fullmatch(rf"{preset}@[0-9a-f]{{12}}", answer.label or "")


def test_other_plugins_are_loaded(server: Server, package: Path) -> None:
    """The general plugin is registered and the stat logger counts; the log misses none."""
    ask(server, COMPLETIONS, "tiny")

    assert {"general", "logger", "recorded"} <= {path.name for path in package.iterdir()}
    assert "leaves out installed plugins" not in server.log.read_text()


def test_an_allowlist_is_reported(v1_server: Server) -> None:
    """`VLLM_PLUGINS=temperament` leaves out vLLM's own LoRA resolvers, and the log says so."""
    log = v1_server.log.read_text()

    assert "VLLM_PLUGINS leaves out installed plugins: lora_filesystem_resolver" in log
