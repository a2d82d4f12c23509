"""Every route of vLLM's server: watched, refused, or known to draw nothing."""

from __future__ import annotations

import re

import pytest
from vllm.entrypoints.openai.api_server import build_app
from vllm.utils.argparse_utils import FlexibleArgumentParser

from temperament.server.endpoints import ENDPOINTS, WEB_SOCKETS

try:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
except ImportError:  # from 0.33 on
    from vllm.entrypoints.common.cli_args import make_arg_parser

TASKS = ("generate", "transcription", "realtime", "render", "embed", "classify", "token_embed")
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


@pytest.mark.parametrize("arguments", [[], ["--enable-scale-out"], ["--tokens-only"]])
def test_every_route_is_known(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version's route that may draw tokens is noticed here: watch it, or refuse it."""
    monkeypatch.setenv("VLLM_SERVER_DEV_MODE", "1")
    parser = make_arg_parser(FlexibleArgumentParser())
    app = build_app(parser.parse_args(["--model", "any", *arguments]), TASKS)
    paths = {
        route.path
        for route in app.routes
        if "POST" in (getattr(route, "methods", None) or {"POST"})
    }
    known = ENDPOINTS.keys() | WEB_SOCKETS.keys()
    new = {path for path in paths - known if not DRAW_NOTHING.fullmatch(path)}

    assert set() == new
    assert {"/v1/chat/completions", "/inference/v1/generate", "/v1/realtime"} <= paths
