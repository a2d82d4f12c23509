"""Every route of vLLM's server: watched, refused, or known to draw nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import vllm

from temperament.server.endpoints import ENDPOINTS, WEB_SOCKETS

# In a process of its own: vLLM's application registers metrics, and can do so once.
PROGRAM = """
import json
from prometheus_client import CollectorRegistry
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from temperament import Catalogue
from temperament.server.admission import Admission
from temperament.server.metrics import Metrics
from temperament.server.middleware import PresetMiddleware
from temperament.server.restrictions import Bounds, Restrictions
from temperament.server.served import Served
from vllm.entrypoints.cli.serve import make_arg_parser
from vllm.entrypoints.openai.api_server import build_app
from vllm.utils.argparse_utils import FlexibleArgumentParser

tasks = ("generate", "transcription", "realtime", "render", "embed", "classify", "token_embed")
parser = make_arg_parser(FlexibleArgumentParser())
found = []
for arguments in ([], ["--enable-scale-out"], ["--tokens-only"]):
    app = build_app(parser.parse_args(["--model", "any", *arguments]), tasks)
    routes = [r for r in app.routes if "POST" in (getattr(r, "methods", None) or {"POST"})]
    found.append([route.path for route in routes])

def opened(admission):
    # What a client of each web socket receives first, or the reason why it doesn't open.
    app = build_app(parser.parse_args(["--model", "any"]), tasks)
    app.state.openai_serving_realtime = None
    served, metrics = Served(admission), Metrics(CollectorRegistry())
    client = TestClient(PresetMiddleware(app, served, metrics))
    answers = {}
    for path in [route.path for route in app.routes if isinstance(route, WebSocketRoute)]:
        try:
            with client.websocket_connect(path) as socket:
                answers[path] = socket.receive_json()["type"]
        except WebSocketDisconnect as closed:
            answers[path] = closed.reason
    return answers

free = Admission(Catalogue({}))
locked = Admission(Catalogue({}), restrictions=Restrictions(locked={"*": Bounds()}))
print(json.dumps([found, opened(free), opened(locked)]))
"""
# Routes that draw no tokens: they count, embed, look, or manage the server.
DRAW_NOTHING = re.compile(
    r"/metrics|/(de)?tokenize|/tokenizer_info|/ping|/v1/(chat/)?completions/derender"
    r"|/v1/responses/\{response_id\}/cancel|/v1/messages/count_tokens"
    r"|(/inference/v1)?/abort_requests|/pause|/resume|/sleep|/wake_up|/release_kv_cache_memory"
    r"|/reset_(prefix|mm|encoder)_cache|/collective_rpc|/(start|stop)_profile"
    r"|/(init|shutdown)_weight_transfer_engine|/(start|finish|start_draft)_weight_update"
    r"|/update_weights|/update_weight_version|/weight_checker|/(is_)?scal(e|ing)_elastic_ep"
    r"|/v1/(un)?load_lora_adapter|/v2/embed|/v1/embeddings|/(v1/|v2/)?(score|rerank)|/classify"
    r"|/pooling|/fault_tolerance/.*"
)


@pytest.fixture(scope="module")
def answers() -> Any:
    """What the program prints."""
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1"}
    environment.pop("VLLM_PLUGINS", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def routes(answers: Any) -> list[set[str]]:
    """The paths that take a POST or a web socket: as usual, for scale-out, and for tokens only."""
    return [set(paths) for paths in answers[0]]


@pytest.mark.parametrize("number", range(3), ids=["usual", "scale-out", "tokens only"])
def test_every_route_is_known(routes: list[set[str]], number: int) -> None:
    """A new version's route that may draw tokens is noticed here: watch it, or refuse it."""
    known = ENDPOINTS.keys() | WEB_SOCKETS.keys()
    new = {path for path in routes[number] - known if not DRAW_NOTHING.fullmatch(path)}

    assert set() == new
    assert {"/v1/chat/completions", "/inference/v1/generate", "/v1/realtime"} <= routes[number]


def test_routes_that_need_a_switch() -> None:
    """vLLM's source has no other route: Cohere's need a variable and a package of theirs."""
    source = Path(vllm.__file__).parent / "entrypoints"
    declared = re.compile(r'\.(?:post|put|patch|api_route|websocket)\(\s*"([^"]+)"')
    found = {
        path
        for file in source.rglob("*.py")
        for path in declared.findall(file.read_text(encoding="utf-8"))
    }
    known = ENDPOINTS.keys() | WEB_SOCKETS.keys()

    assert set() == {path for path in found - known if not DRAW_NOTHING.fullmatch(path)}
    assert {"/cohere/v2/chat", "/v1/chat/completions", "/v1/realtime"} <= found


def test_web_sockets(answers: Any) -> None:
    """vLLM's own web socket opens without a promise, and under a lock it doesn't, with the reason.

    It belongs to models of speech, so no server of the integration tests has it.
    """
    _, free, locked = answers

    assert {"/v1/realtime": "session.created"} == free
    assert WEB_SOCKETS.keys() == locked.keys()
    assert "no preset can be applied on this route" in locked["/v1/realtime"]
