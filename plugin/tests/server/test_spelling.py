"""Spellings of numbers: what stock vLLM takes isn't refused because a default preset applies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest

from temperament import RequestError, TemperamentError
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.restrictions import Bounds, Restrictions

MESSAGE: list[Any] = [{"role": "user", "content": "x"}]
# The class with which vLLM reads each endpoint's body, and what it needs.
READS: dict[str, tuple[Any, dict[str, Any]]] = {
    "/v1/chat/completions": (ChatCompletionRequest, {"messages": MESSAGE}),
    "/v1/completions": (CompletionRequest, {"prompt": "x"}),
    "/v1/responses": (ResponsesRequest, {"input": "x"}),
    "/v1/messages": (AnthropicMessagesRequest, {"messages": MESSAGE, "max_tokens": 5}),
}
EVERYWHERE: list[dict[str, Any]] = [
    {"temperature": "0.5"},
    {"temperature": " 1e-1 "},
    {"temperature": True},
    {"top_k": 40.0},
    {"top_k": "40"},
    {"top_k": "-1"},
    {"top_k": True},
    {"top_p": "0.9", "top_k": "5"},
]
OPENAI: list[dict[str, Any]] = [
    {"logit_bias": {"5": "1.5"}},
    {"frequency_penalty": "0.5", "presence_penalty": "-0.5"},
]
NOT_RESPONSES: list[dict[str, Any]] = [
    {"min_p": "0.1", "repetition_penalty": "1.1"},
    {"allowed_token_ids": ["5", 6.0]},
]
CASES = [
    (path, fields)
    for path in READS
    for fields in [
        *EVERYWHERE,
        *(OPENAI if path != "/v1/messages" else []),
        *(NOT_RESPONSES if path in ("/v1/chat/completions", "/v1/completions") else []),
    ]
]


@pytest.fixture
def server(admission: Admission) -> Admission:
    """Returns a server with a default preset."""
    return replace(admission, default=admission.catalogue["default"])


def number(value: Any) -> Any:
    """The number of a spelling, as Python reads it."""
    if isinstance(value, dict):
        return {int(key): float(text) for key, text in value.items()}
    return [int(item) for item in value] if isinstance(value, list) else float(value)


@pytest.mark.parametrize(("path", "fields"), CASES, ids=str)
def test_what_vllm_takes(server: Admission, path: str, fields: dict[str, Any]) -> None:
    """vLLM takes the body with and without a default preset, and reads the same numbers."""
    read_by, needed = READS[path]
    stock = read_by(**needed, model="m", **fields)
    admitted = server.admit({**needed, "model": "m", **fields}, None, ENDPOINTS[path])
    assert admitted is not None
    plain = server.admit(
        {**needed, "model": "m", **{name: number(value) for name, value in fields.items()}},
        None,
        ENDPOINTS[path],
    )
    assert plain is not None
    read = read_by(**json.loads(json.dumps(admitted.body)))

    assert plain.body == admitted.body
    assert "m" == read.model
    for name in fields.keys() - {"logit_bias", "allowed_token_ids"}:
        assert number(fields[name]) == getattr(stock, name)


@pytest.mark.parametrize(
    "fields",
    [{"temperature": "hot"}, {"top_k": 1.5}, {"top_p": "1.5"}, {"temperature": "nan"}],
    ids=str,
)
def test_what_is_no_number(server: Admission, fields: dict[str, Any]) -> None:
    """A text that is no number, or a number that isn't allowed, is refused as before."""
    with pytest.raises(TemperamentError, match=r"not allowed"):
        server.admit({"model": "m", **fields}, None, ENDPOINTS["/v1/completions"])


def test_fields_that_vllm_lacks(server: Admission) -> None:
    """A field of the plugin takes numbers alone: no client of stock vLLM has sent it."""
    with pytest.raises(TemperamentError, match=r"typical_p: not allowed; given: '0\.9'"):
        server.admit({"typical_p": "0.9"}, None, ENDPOINTS["/v1/completions"])
    with pytest.raises(TemperamentError, match="min_p"):  # which this endpoint lacks
        server.admit({"min_p": "0.9"}, None, ENDPOINTS["/v1/messages"])


@pytest.mark.parametrize("fields", [{"max_tokens": "50"}, {"max_tokens": 50.0}, {"n": "2"}])
def test_bounds(server: Admission, fields: dict[str, Any]) -> None:
    """An operator's bounds hold for the number, however it is spelt."""
    bounds = {"max_tokens": Bounds(max=60), "num_return_sequences": Bounds(max=2)}
    locked = replace(server, restrictions=Restrictions(locked=bounds))
    body = {"max_tokens": 5, **fields}

    assert locked.admit(body, None, ENDPOINTS["/v1/completions"]) is not None
    with pytest.raises(RequestError, match="out of this server's bounds"):
        wrong = {name: str(int(float(value)) + 20) for name, value in fields.items()}
        locked.admit({**body, **wrong}, None, ENDPOINTS["/v1/completions"])
