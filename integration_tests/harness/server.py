"""A `vllm serve` process that lasts as long as a `with` block, and its environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from openai import OpenAI

from integration_tests.harness import forks
from integration_tests.harness.environments import ON_SHARED_CORES, Runner, environment

__all__ = ["ON_SHARED_CORES", "Runner", "Server", "ServerError", "environment"]


class ServerError(RuntimeError):
    """The server ended or gave no answer in time; the message has the end of its log."""


class Server:
    """Runs `vllm serve MODEL` on a free port of 127.0.0.1, for the length of a `with` block.

    Without `with`: `launch` returns at once, `wait` when the server answers, `stop` ends it.
    `start` is the command, `args` are further arguments of the command line, `env` further
    variables beside those of `environment(runner)`. While the server starts, `waiting` is called
    four times a second with the seconds so far. `log` keeps the output of the server's processes;
    it is never deleted. In a session of pytest the process is a fork of one that has imported vLLM
    (see `forks.py`), unless `forked` is false.
    """

    def __init__(
        self,
        model: Path | str,
        runner: Runner = "v1",
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        api_key: str | None = None,
        start: Sequence[str] = ("vllm", "serve"),
        log: Path | None = None,
        timeout: float = 400,
        waiting: Callable[[float], None] = lambda seconds: None,
        forked: bool = True,
    ) -> None:
        self.api_key = api_key
        self.log = log or Path(tempfile.mkdtemp(prefix="vllm-"), "log")
        self.timeout = timeout
        self.waiting = waiting
        # Bound, not listening, and reusable: vLLM can take the port, and the kernel gives it to
        # no other process.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = environment(runner) | dict(env or {})
        arguments = [*start, str(model), "--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--enforce-eager", *(["--api-key", api_key] if api_key else []), *args]
        # `temperament serve` replaces its process, so a fork would gain nothing.
        fork = forks.command(runner, arguments) if forked and start[0] == "vllm" else None
        self.command = fork or [str(Path(sys.executable).with_name(start[0])), *arguments[1:]]

    def client(self) -> OpenAI:
        """An `openai` client for this server."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=self.api_key or "none")

    def launch(self) -> Self:
        """Starts the server's process, and returns before it answers."""
        with self.log.open("wb") as log:
            # In a new session, so that `stop` reaches the engine's processes and no others.
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def wait(self) -> Self:
        """Returns once the server answers. Raises `ServerError` if it ends or is too slow."""
        start = time.monotonic()
        while (seconds := time.monotonic() - start) < self.timeout:
            self.waiting(seconds)
            if self.process.poll() is not None:
                raise self._error(f"vLLM ended with status {self.process.returncode}")
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return self
            time.sleep(0.25)
        raise self._error(f"vLLM did not answer within {self.timeout:.0f} s")

    def stop(self) -> None:
        """Ends the server and every process that it started."""
        patience = {signal.SIGINT: 15, signal.SIGTERM: 5, signal.SIGKILL: 5}
        for number, seconds in patience.items():
            if self.process.poll() is None:
                self.process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(seconds)
        with suppress(ProcessLookupError):  # an engine whose server is gone
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reserved.close()

    def __enter__(self) -> Self:
        self.launch()
        try:
            return self.wait()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _error(self, what: str) -> ServerError:
        lines = self.log.read_text(errors="replace").splitlines()[-60:]
        return ServerError("\n".join([f"{what}; the end of {self.log}:", *lines]))
