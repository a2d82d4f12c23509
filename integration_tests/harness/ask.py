"""One request to any endpoint that draws tokens, naming its preset in any way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from integration_tests.harness.server import Server

HEADER = "X-Sampling-Preset"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
ENDPOINTS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
WAYS = ("field", "suffix", "header", "vllm_xargs")


@dataclass(frozen=True)
class Answer:
    """An answer: its status, the preset's label, the generated text, and the whole JSON."""

    status: int
    label: str | None
    text: str
    json: Any = field(repr=False)

    @property
    def message(self) -> str:
        """The error's message, in OpenAI's or Anthropic's form."""
        return str(self.json["error"]["message"])


def body(path: str, model: str, text: str = "Say a colour.", max_tokens: int = 4) -> dict[str, Any]:
    """The body of a request for an endpoint, with a text and a limit and nothing else."""
    messages = [{"role": "user", "content": text}]
    fields: dict[str, Any] = {
        CHAT: {"messages": messages, "max_tokens": max_tokens},
        COMPLETIONS: {"prompt": text, "max_tokens": max_tokens},
        RESPONSES: {"input": text, "max_output_tokens": max_tokens},
        MESSAGES: {"messages": messages, "max_tokens": max_tokens},
    }[path]
    return {"model": model, **fields}


def naming(way: str, preset: str, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields and the headers that name a preset in one of the `WAYS`."""
    if way == "header":
        return {}, {HEADER: quote(preset)}
    fields: dict[str, dict[str, Any]] = {
        "field": {"preset": preset},
        "suffix": {"model": f"{model}:{preset}"},
        "vllm_xargs": {"vllm_xargs": {"preset": preset}},
    }
    return fields[way], {}


def text_of(path: str, answer: Mapping[str, Any]) -> str:
    """The text of the answer of an endpoint."""
    match path:
        case "/v1/chat/completions":
            text = answer["choices"][0]["message"]["content"]
        case "/v1/completions":
            text = answer["choices"][0]["text"]
        case "/v1/responses":
            text = "".join(part["text"] for item in answer["output"] for part in item["content"])
        case "/v1/messages":
            text = answer["content"][0]["text"]
    return str(text)


def post(
    server: Server,
    path: str,
    content: Mapping[str, Any] | bytes,
    headers: Mapping[str, Any] | None = None,
) -> Answer:
    """Sends a body, as JSON or as the bytes that it already is."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    if server.api_key:
        sent.setdefault("Authorization", f"Bearer {server.api_key}")
    body = {"content": content} if isinstance(content, bytes) else {"json": content}
    answer = httpx.post(f"{server.url}{path}", headers=sent, timeout=300, **body)
    json = answer.json()
    text = text_of(path, json) if answer.is_success and path in ENDPOINTS else ""
    return Answer(answer.status_code, answer.headers.get(HEADER), text, json)


def ask(
    server: Server, path: str, model: str, text: str = "Say a colour.", /, **fields: Any
) -> Answer:
    """Sends the body of `body` with further fields."""
    return post(server, path, {**body(path, model, text), **fields})
