"""`locked` with `"allow": []` over every route of a running server, by the application's own list.

`/openapi.json` leaves some routes out. vLLM counts the tokens that it draws, whichever route they
are drawn for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from integration_tests.harness.ask import CHAT, HEADER, ask
from integration_tests.harness.server import ON_SHARED_CORES, Server
from temperament.server.endpoints import ENDPOINTS, WEB_SOCKETS

MIDDLEWARE = Path(__file__).parent / "harness" / "middleware"
SETTINGS = {"temperament": {"allow": [], "locked": {"*": {}}}}
# What any of the routes needs to draw tokens.
BODY: dict[str, Any] = {
    "model": "tiny",
    "prompt": "a",
    "input": "a",
    "messages": [{"role": "user", "content": "a"}],
    "token_ids": [5, 6],
    "max_tokens": 16,
    "max_output_tokens": 16,
    "sampling_params": {"temperature": 1.9, "max_tokens": 16},
}
BREAKS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a locked field": ({"temperature": 1.9}, {}),
    "a preset that isn't allowed": ({"preset": "chat"}, {}),
    "a preset of its own": ({"preset": {"temperature": 1.9}}, {}),
    "the model's suffix": ({"model": "tiny:chat"}, {}),
    "vllm_xargs": ({"vllm_xargs": {"preset": "chat"}}, {}),
    "a chain of its own": ({"vllm_xargs": {"temperament": "1"}}, {}),
    "the header": ({}, {HEADER: "chat"}),
}
REASONS = (
    "this server doesn't let requests set it",
    "this server doesn't allow this preset",
    "no preset can be applied on this route",
    "is written by the server, not by a request",
)


@pytest.fixture(scope="module")
def server(tiny_path: Path) -> Iterator[Server]:
    """A server that lets requests choose nothing, with vLLM's routes for scale-out."""
    path = os.pathsep.join(filter(None, [str(MIDDLEWARE), os.environ.get("PYTHONPATH")]))
    args = [
        *("--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "256"),
        *("--enable-scale-out", "--middleware", "list_routes.ListRoutes"),
        *("--additional-config", json.dumps(SETTINGS)),
    ]
    with Server(tiny_path, "v1", args, env={"PYTHONPATH": path, **ON_SHARED_CORES}) as running:
        yield running


@pytest.fixture(scope="module")
def routes(server: Server) -> list[tuple[str, str, list[str]]]:
    """Path, kind and methods of each route."""
    found: list[Any] = httpx.get(f"{server.url}/test/routes", timeout=300).json()
    return [(re.sub(r"\{[^}]*\}", "x", path), kind, methods) for path, kind, methods in found]


def drawn(server: Server) -> float:
    """The number of tokens that the server has drawn."""
    lines = httpx.get(f"{server.url}/metrics", timeout=300).text.splitlines()
    return sum(float(x.split()[-1]) for x in lines if x.startswith("vllm:generation_tokens_total"))


@pytest.mark.parametrize("way", BREAKS)
def test_no_route_breaks_a_lock(
    server: Server, routes: list[tuple[str, str, list[str]]], way: str
) -> None:
    """No route draws a token; those that could answer 400 with Temperament's reason."""
    fields, headers = BREAKS[way]
    before, refused = drawn(server), set()
    for path, _, methods in routes:
        for method in {*methods} - {"GET", "HEAD", "OPTIONS"}:
            answer = httpx.request(
                method, f"{server.url}{path}", json=BODY | fields, headers=headers, timeout=300
            )
            if path in ENDPOINTS:
                assert (400, path) == (answer.status_code, path)
                assert any(reason in answer.text for reason in REASONS), (path, answer.text)
                refused.add(path)

    assert {CHAT, "/v1/messages", "/invocations", "/inference/v1/generate"} <= refused
    assert before == drawn(server)


def test_a_route_that_takes_no_presets_draws_nothing(
    server: Server, routes: list[tuple[str, str, list[str]]]
) -> None:
    """There a lock can't be kept, so every request is refused, one without a field too."""
    before, tried = drawn(server), 0
    for path, _, methods in routes:
        if "POST" in methods and (path not in ENDPOINTS or ENDPOINTS[path].unsupported):
            answer = httpx.post(f"{server.url}{path}", json=BODY, timeout=300)
            tried += 1
            if path in ENDPOINTS:
                assert (400, path) == (answer.status_code, path)

    assert tried > 3
    assert before == drawn(server)


def test_web_sockets(server: Server, routes: list[tuple[str, str, list[str]]]) -> None:
    """None opens, neither one that this server has nor one that vLLM has for other models."""
    sockets = {path for path, kind, _ in routes if "WebSocket" in kind}
    for path in sockets | WEB_SOCKETS.keys():
        with (
            pytest.raises(InvalidStatus, match="403"),
            connect(f"{server.url.replace('http', 'ws')}{path}"),
        ):
            pass


def test_what_is_left(server: Server) -> None:
    """A request that chooses nothing is answered, so the counter counts."""
    before = drawn(server)

    assert 200 == ask(server, CHAT, "tiny").status
    assert before + 4 == drawn(server)
