"""The servers that the other tests rely on."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import temperament
from integration_tests.harness.server import Runner, Server, ServerError


def check_chat(server: Server, model: str) -> None:
    """The server answers /health, and a chat of a stock client that names no preset."""
    with urllib.request.urlopen(f"{server.url}/health") as health:
        assert 200 == health.status
    answer = server.client().chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say hello."}], max_tokens=8,
        extra_body={"min_tokens": 2},  # else the text may end at once
    )  # fmt: skip

    assert answer.choices[0].message.content
    assert answer.usage and answer.usage.completion_tokens in range(1, 9)


def package_of(server: Server) -> Path:
    """The folder from which the server's processes import `temperament`."""
    program = "import temperament; print(temperament.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=server.env, cwd="/",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Path(done.stdout.strip()).parent


class TestServers:
    """Both model runners, each with its model."""

    def test_v1(self, v1_server: Server) -> None:
        """SmolLM2 runs on the V1 runner, and a stock client can chat with it."""
        check_chat(v1_server, "smollm2")

        assert "Using V2 Model Runner" not in v1_server.log.read_text()

    def test_v2(self, v2_server: Server) -> None:
        """The tiny model runs on the V2 runner, and a stock client can chat with it."""
        check_chat(v2_server, "tiny")

        assert "Using V2 Model Runner" in v2_server.log.read_text()

    @pytest.mark.parametrize("runner", ["v1", "v2"])
    def test_they_serve_this_package(self, runner: Runner) -> None:
        """A server imports the package that the tests import, not one that is installed beside."""
        assert Path(temperament.__file__).parent == package_of(Server("model", runner))

    def test_a_start_that_fails_says_why(self, tmp_path: Path) -> None:
        """The error has the end of the log, and no process is left."""
        server = Server("model", log=tmp_path / "log")
        server.command = [sys.executable, "-c", "raise SystemExit('no such model')"]

        with pytest.raises(ServerError, match=r"status 1;(.|\n)*no such model"), server:
            pass
        with pytest.raises(ProcessLookupError):
            os.killpg(server.process.pid, 0)
