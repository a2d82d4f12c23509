"""`vllm-router` in front of servers, each with API processes of its own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from integration_tests.harness.server import Server


class Router(Server):
    """Runs `vllm-router` on a free port of 127.0.0.1; it sends requests to its servers in turn."""

    def __init__(self, servers: Sequence[Server]) -> None:
        super().__init__("")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            metrics = free.getsockname()[1]
        self.command = [
            str(Path(sys.executable).with_name("vllm-router")),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(metrics)),
            *("--policy", "round_robin", "--worker-startup-check-interval", "1"),
            *("--worker-urls", *(server.url for server in servers)),
        ]
