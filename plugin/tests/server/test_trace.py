"""`"preset_trace": true`: what goes to vLLM, and what comes back to the client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from temperament import Catalogue
from temperament.errors import RequestError
from temperament.plan import decode
from temperament.plan.vocabulary import TokenBytes
from temperament.plan.wire import KEY
from temperament.presets import as_preset
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.metrics import Metrics
from temperament.server.middleware import PresetMiddleware
from temperament.server.served import Served

TOKENS = TokenBytes(tuple(bytes([byte]) for byte in range(128)), (), ((0, b"<|turn|>"),))
WORDS = {
    "modes": {"text": {"temperature": 1.2}, "code": {"temperature": 0}},
    "start": "auto",
    "switch": [
        {"from": "text", "on": {"text": "```", "at_line_start": True}, "to": "code"},
        {"from": "code", "on": {"end_of": "```"}, "to": "back"},
    ],
}
ENTROPY = {
    "modes": {"a": {}, "b": {"top_k": 5}},
    "switch": [{"on": {"entropy": {"above": 1}}, "to": "b"}],
}
CHAT = "/v1/chat/completions"


def admission(**more: Any) -> Admission:
    nothing = Catalogue({})
    presets = {
        name: as_preset(fields, nothing)
        for name, fields in (("mixed", WORDS), ("plain", {"top_k": 3}), ("entropy", ENTROPY))
    }
    return Admission(Catalogue(presets), vocabulary=128, tokens=lambda: TOKENS, **more)


def ids(text: str) -> list[int]:
    return list(text.encode())


def answered(body: dict[str, Any], parts: list[bytes], kind: bytes) -> tuple[Any, dict[str, Any]]:
    """Returns what a client gets from an application that sends these parts, and its request."""
    asked: dict[str, Any] = {}
    sent: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        asked.update(json.loads((await receive())["body"]))
        length = str(sum(map(len, parts))).encode()
        headers = [(b"content-type", kind), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, part in enumerate(parts):
            more = number < len(parts) - 1
            await send({"type": "http.response.body", "body": part, "more_body": more})

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
    configured = admission()
    asyncio.run(
        PresetMiddleware(app, Served(configured), Metrics(CollectorRegistry()))(
            scope, receive, send
        )
    )
    return sent, asked


BODY = {"model": "m", "messages": [], "preset": "mixed", "preset_trace": True}
TEXT = "a\n```\nb\n```\nc"
SPANS = [("text", "a\n```"), ("code", "\nb\n```\n"), ("text", "c")]


def test_one_answer() -> None:
    """Each choice has its spans; ids that only the server asked for are gone; the length fits."""
    answer = {
        "choices": [
            {"index": 0, "message": {"content": TEXT}, "finish_reason": "stop",
             "token_ids": ids(TEXT)},
            {"index": 1, "message": {"content": "x"}, "finish_reason": "length",
             "token_ids": ids("x")},
        ],
        "prompt_token_ids": ids("hi"),
    }  # fmt: skip
    raw = json.dumps(answer).encode()
    sent, asked = answered(BODY, [raw[:30], raw[30:]], b"application/json")
    headers = dict(sent[0]["headers"])
    returned = json.loads(sent[1]["body"])

    assert asked["return_token_ids"] is True
    assert "preset_trace" not in asked
    assert ["text", "code"] == list(decode(asked["vllm_xargs"][KEY]).chains)
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert [0, 1] == [c["index"] for c in returned["choices"]]
    assert "prompt_token_ids" not in returned
    first, second = (choice["preset_trace"] for choice in returned["choices"])
    assert [(s["mode"], s["text"]) for s in first["spans"]] == SPANS
    assert [
        {"token": 5, "from": "text", "to": "code", "on": "'```' at a line's start"},
        {"token": 12, "from": "code", "to": "text", "on": "'```' alone in a line"},
    ] == first["switches"]
    assert [("text", 0, 1)] == [(s["mode"], s["start"], s["end"]) for s in second["spans"]]
    assert "token_ids" not in returned["choices"][0]


def test_a_client_that_asks_for_ids_gets_them() -> None:
    """Ids that the client asked for stay."""
    answer = {"choices": [{"index": 0, "finish_reason": "stop", "token_ids": ids("x")}],
              "prompt_token_ids": [1]}  # fmt: skip
    body = {**BODY, "return_token_ids": True}
    sent, _ = answered(body, [json.dumps(answer).encode()], b"application/json")
    returned = json.loads(sent[1]["body"])

    assert [1] == returned["prompt_token_ids"]
    assert returned["choices"][0]["token_ids"] == ids("x")


@pytest.mark.parametrize("cut", [7, 50, 10_000])
def test_a_stream(cut: int) -> None:
    """The last chunk of each choice has the trace, wherever the stream's bytes are split."""
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": {}}], "prompt_token_ids": ids("hi")}]
    chunks += [
        {"choices": [{"index": 0, "delta": {"content": c}, "token_ids": ids(c)}]} for c in TEXT[:-1]
    ]
    chunks.append({"choices": [{"index": 0, "finish_reason": "stop", "token_ids": ids(TEXT[-1])}]})
    chunks.append({"choices": [], "usage": {}})
    raw = b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks)
    raw += b"data: [DONE]\n\n"
    parts = [raw[i : i + cut] for i in range(0, len(raw), cut)]
    sent, _ = answered({**BODY, "stream": True}, parts, b"text/event-stream; charset=utf-8")
    body = b"".join(message["body"] for message in sent[1:])
    *events, done, end = body.split(b"\n\n")
    passed = [json.loads(event.removeprefix(b"data: ")) for event in events]

    assert (b"data: [DONE]", b"") == (done, end)
    assert len(passed) == len(chunks)
    assert not any("token_ids" in c for one in passed for c in one["choices"])
    traces = [c["preset_trace"] for one in passed for c in one["choices"] if "preset_trace" in c]
    assert [SPANS] == [[(s["mode"], s["text"]) for s in trace["spans"]] for trace in traces]
    assert "preset_trace" in passed[-2]["choices"][0]


def test_the_prompt_tells_the_first_mode() -> None:
    """An answer that continues a code block begins in mode `code`."""
    prompt = [*ids("```\nno\n"), 0, *ids("so:\n```\nx")]
    answer = {"choices": [{"index": 0, "finish_reason": "stop", "token_ids": ids("y\n```\nz")}],
              "prompt_token_ids": prompt}  # fmt: skip
    sent, _ = answered(BODY, [json.dumps(answer).encode()], b"application/json")
    spans = json.loads(sent[1]["body"])["choices"][0]["preset_trace"]["spans"]

    assert [("code", "y\n```\n"), ("text", "z")] == [(s["mode"], s["text"]) for s in spans]


@pytest.mark.parametrize("raw", [b"not json", b'{"error": {}}', b"[1]"])
def test_what_is_no_answer_goes_through(raw: bytes) -> None:
    """Answers without choices pass as they are."""
    sent, _ = answered(BODY, [raw], b"application/json")

    assert json.loads(sent[1]["body"]) == json.loads(raw) if raw != b"not json" else True
    assert raw != b"not json" or sent[1]["body"] == raw


@pytest.mark.parametrize(
    ("body", "path", "why"),
    [
        ({"preset": "plain"}, CHAT, "the preset has no modes"),
        ({}, CHAT, "the preset has no modes"),
        ({"preset": "entropy"}, CHAT, "switches on entropy, which the tokens don't show"),
        ({"preset": "mixed"}, "/v1/messages", "returns no token ids"),
        ({"preset": "mixed"}, "/v1/responses", "returns no token ids"),
        ({"preset": "mixed", "include_reasoning": False}, CHAT, "hides the tokens"),
        ({"preset": "mixed", "preset_trace": 1}, CHAT, "not allowed; given: 1"),
    ],
    ids=str,
)
def test_what_can_not_be_traced(body: dict[str, Any], path: str, why: str) -> None:
    """A trace that can't be had is refused before the engine sees the request."""
    with pytest.raises(RequestError, match=why):
        admission().admit({"preset_trace": True, **body}, None, ENDPOINTS[path])


class TestModesInARequest:
    """Presets with modes: by name, with fields on top, in the request."""

    def test_an_override_holds_in_every_mode(self) -> None:
        """What the modes don't share is residual, with vLLM's fields neutral."""
        body = {"preset": "mixed", "min_p": 0.1}
        admitted = admission().admit(body, None, ENDPOINTS[CHAT])
        assert admitted is not None
        chains = decode(admitted.body["vllm_xargs"][KEY]).chains

        assert 1.0 == admitted.body["temperature"]
        assert {
            "Chain(temperature=1.2, min_p=0.1)",
            "Chain(temperature=0.0)",  # which leaves one token, so nothing for min_p to do
        } == {repr(chain) for chain in chains.values()}

    def test_modes_of_its_own(self) -> None:
        """A request may bring modes and rules of its own."""
        admitted = admission().admit(dict(WORDS), None, ENDPOINTS[CHAT])
        assert admitted is not None

        assert ["text", "code"] == list(decode(admitted.body["vllm_xargs"][KEY]).chains)
        assert not {"modes", "switch", "start"} & admitted.body.keys()

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ({"modes": {"a": {}}, "start": "b"}, "start: unknown mode"),
            ({"modes": {"a": {}, "b": {}}}, "no rule leads here"),
            ({"preset": "mixed", "start": "x"}, "start: unknown mode"),
            ({"preset": "plain", "start": "x"}, "start: needs modes"),
            ({"modes": {"a": {}, "b": {}}, "switch": [{"on": {"text": "é"}, "to": "b"}]},
             "can never match"),
            ({"modes": {"a": {}, "b": {"logit_bias": {"500": 1}}},
              "switch": [{"on": {"text": "x"}, "to": "b"}]}, "no such token"),
            ({"modes": {"a": {"max_tokens": 1}}}, "unknown name"),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_can_not_be(self, body: dict[str, Any], why: str) -> None:
        """Wrong modes raise a `ValueError`, which is answered 400."""
        with pytest.raises(ValueError, match=why):
            admission().admit(body, None, ENDPOINTS[CHAT])

    def test_entropy_and_a_batch_that_ranks_share(self) -> None:
        """A rule on entropy is refused, since a preempted request may return to another rank."""
        with pytest.raises(RequestError, match=r"switch\.0\.on: keeps a state"):
            admission(sharded=True).admit({"preset": "entropy"}, None, ENDPOINTS[CHAT])
