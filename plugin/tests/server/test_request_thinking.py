"""What the vendor recommends follows the request, on every endpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from temperament.presets.families import families
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.request_thinking import RequestThinking
from tests.presets.presets_for_models import SHIPPED

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
HELLO = [{"role": "user", "content": "Hello"}]
NO_THINK = {"role": "system", "content": [{"type": "text", "text": "/no_think"}]}


def admission(model: str, defaults: dict[str, Any] | None = None) -> Admission:
    """Returns the admission of a server whose default preset is `recommended`."""
    catalogue = SHIPPED.for_model(model)
    family = catalogue.family
    assert family is not None and family.thinking is not None
    base = Admission(catalogue, catalogue["recommended"], serves=lambda name: name == "m")
    variants = {}
    for thinks in (True, False):
        bound = SHIPPED.for_model(model, thinks)
        variants[thinks] = replace(base, catalogue=bound, default=bound["recommended"])
    thinking = RequestThinking(family.thinking, defaults or {})
    return replace(base, thinking=thinking, variants=variants)


def temperature(body: dict[str, Any], path: str, server: Admission) -> Any:
    """Returns the temperature in the body for vLLM."""
    admitted = server.admit({"model": "m", **body}, None, ENDPOINTS[path])
    assert admitted is not None
    return admitted.body["temperature"]


# Qwen3 has 0.6 with thinking, its default, and 0.7 without.
REQUESTS: list[tuple[str, dict[str, Any], float]] = [
    (CHAT, {"messages": HELLO}, 0.6),
    (CHAT, {"messages": HELLO, "chat_template_kwargs": {"enable_thinking": False}}, 0.7),
    (CHAT, {"messages": HELLO, "reasoning_effort": "none"}, 0.7),
    (CHAT, {"messages": HELLO, "reasoning_effort": "low"}, 0.6),
    (CHAT, {"messages": HELLO, "reasoning_effort": "none",
            "chat_template_kwargs": {"enable_thinking": True}}, 0.6),
    (CHAT, {"messages": [NO_THINK, *HELLO]}, 0.7),
    (CHAT, {"messages": [{"role": "user", "content": "Hello /no_think"}]}, 0.7),
    (CHAT, {"messages": HELLO, "chat_template_kwargs": None}, 0.6),
    (COMPLETIONS, {"prompt": "/no_think"}, 0.6),
    (RESPONSES, {"input": "Hello"}, 0.6),
    (RESPONSES, {"input": "Hello", "reasoning": {"effort": "none"}}, 0.7),
    (RESPONSES, {"input": HELLO, "instructions": "/no_think"}, 0.7),
    (MESSAGES, {"messages": HELLO, "max_tokens": 9}, 0.6),
    (MESSAGES, {"messages": HELLO, "max_tokens": 9, "thinking": {"type": "disabled"}}, 0.7),
    (MESSAGES, {"messages": HELLO, "max_tokens": 9, "system": "/no_think"}, 0.7),
    (MESSAGES, {"messages": HELLO, "max_tokens": 9, "output_config": {"effort": "low"}}, 0.6),
]  # fmt: skip


@pytest.fixture(scope="module")
def qwen3() -> Admission:
    """A server of Qwen3."""
    return admission("Qwen/Qwen3-8B")


@pytest.mark.parametrize(("path", "body", "expected"), REQUESTS)
def test_recommended_follows_the_request(
    qwen3: Admission, path: str, body: dict[str, Any], expected: float
) -> None:
    """Each way of an endpoint to switch thinking changes the vendor's values."""
    assert expected == temperature(body, path, qwen3)


@pytest.mark.parametrize(
    "odd",
    [
        {"messages": "x"},
        {"messages": [1, {"role": "user", "content": 3}]},
        {"messages": HELLO, "reasoning_effort": 3},
        {"messages": HELLO, "thinking": "on", "reasoning": [], "output_config": 1},
        {"messages": HELLO, "chat_template_kwargs": [1]},
        {"messages": [HELLO, HELLO]},
    ],
)
def test_what_vllm_refuses_says_nothing(qwen3: Admission, odd: dict[str, Any]) -> None:
    """Fields of a wrong type leave the family's default, and raise nothing."""
    assert 0.6 == temperature(odd, CHAT, qwen3)


def test_the_requests_own_value_wins(qwen3: Admission) -> None:
    """A sampling field of the request stays."""
    body = {"messages": HELLO, "temperature": 0.2, "reasoning_effort": "none"}

    assert 0.2 == temperature(body, CHAT, qwen3)


def test_a_server_that_switches_thinking_off() -> None:
    """The server's own arguments for the chat template count below the request's."""
    server = admission("Qwen/Qwen3-8B", {"enable_thinking": False})
    on = {"messages": HELLO, "chat_template_kwargs": {"enable_thinking": True}}

    assert 0.7 == temperature({"messages": HELLO}, CHAT, server)
    assert 0.6 == temperature(on, CHAT, server)


def test_a_preset_that_is_named() -> None:
    """`agent` draws its text as the vendor recommends for the request."""
    server = admission("Qwen/Qwen3-8B")
    body = {"messages": HELLO, "preset": "agent", "reasoning_effort": "none"}
    admitted = server.admit({"model": "m", **body}, None, ENDPOINTS[CHAT])

    assert admitted is not None
    assert '"temperature":0.7' in str(admitted.body["vllm_xargs"])


def test_every_family_has_a_variant_where_it_matters() -> None:
    """The families whose vendors have values for both kinds are known."""
    both = {f.name for f in families() if f.thinking and f.when(True) != f.when(False)}

    assert {"qwen3", "qwen3.5", "qwen3.8", "minicpm5", "nemotron-3-nano-omni", "smollm3"} <= both
