"""The servers that the other tests rely on."""

import os
import sys
import urllib.request
from pathlib import Path

import pytest

from integration_tests.harness.server import Server, ServerError


class TestServers:
    """Both model runners, each with its model, at the same time."""

    def test_a_stock_client_can_chat(self, v1_server: Server, v2_server: Server) -> None:
        """Each answers /health and a chat that names no preset."""
        for server, model in (v1_server, "smollm2"), (v2_server, "tiny"):
            with urllib.request.urlopen(f"{server.url}/health") as health:
                assert health.status == 200
            answer = server.client().chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Say hello."}], max_tokens=8
            )

            assert answer.choices[0].message.content
            assert answer.usage and answer.usage.completion_tokens in range(1, 9)

    def test_the_runners_are_the_ones_asked_for(self, v1_server: Server, v2_server: Server) -> None:
        """The logs name them."""
        assert "Using V2 Model Runner" not in v1_server.log.read_text()
        assert "Using V2 Model Runner" in v2_server.log.read_text()

    def test_a_start_that_fails_says_why(self, tmp_path: Path) -> None:
        """The error holds the end of the log, and no process is left."""
        server = Server("model", log=tmp_path / "log")
        server.command = [sys.executable, "-c", "raise SystemExit('no such model')"]

        with pytest.raises(ServerError, match=r"status 1;(.|\n)*no such model"), server:
            pass
        with pytest.raises(ProcessLookupError):
            os.killpg(server.process.pid, 0)
