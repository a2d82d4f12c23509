"""Bad requests: each is answered 400 with a clear message, and the server lives on."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from integration_tests.harness.ask import (
    CHAT,
    COMPLETIONS,
    ENDPOINTS,
    HEADER,
    MESSAGES,
    RESPONSES,
    Answer,
    ask,
    body,
    post,
)
from integration_tests.harness.server import Server

NAN, INFINITY = float("nan"), float("inf")
KNOWN = "allowed: auto, chat"
CHAIN = json.dumps({"temperature": 2.5})
WRITTEN = "is written by the server"


@dataclass(frozen=True)
class Bad:
    """A bad request, and parts of the message that refuses it."""

    parts: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    path: str = CHAT
    header: str | None = None
    raw: bytes | None = None

    def send(self, server: Server) -> Answer:
        """Sends the request; its JSON has NaN as a literal."""
        content = self.raw
        if content is None:
            content = json.dumps({**body(self.path, "smollm2"), **self.fields}).encode()
        return post(server, self.path, content, {} if self.header is None else self.headers)

    @property
    def headers(self) -> dict[str, str]:
        """The header that names the request's preset."""
        return {HEADER: self.header or ""}


def value(parts: str, /, path: str = CHAT, **fields: Any) -> Bad:
    """A request with a bad value and a good preset; `parts` are separated by semicolons."""
    return Bad(tuple(parts.split("; ")), {"preset": "chat", **fields}, path)


def name(parts: str, /, header: str | None = None, path: str = CHAT, **fields: Any) -> Bad:
    """A request with a bad name of a preset."""
    return Bad(tuple(parts.split("; ")), fields, path, header)


def text(part: str, raw: bytes) -> Bad:
    """A body that isn't a JSON object, which vLLM refuses."""
    return Bad((part,), raw=raw)


BAD: dict[str, Bad] = {
    # each field, out of its range and of a wrong type
    "temperature -0.1": value("temperature; given: -0.1; a number in [0, inf)", temperature=-0.1),
    "temperature text": value("temperature; given: 'hot'; a number", temperature="hot"),
    "temperature NaN": value("temperature; given: nan; a number", temperature=NAN),
    "temperature Infinity": value("temperature; given: inf; a number", temperature=INFINITY),
    "temperature 1e39": value("temperature; given: 1e+39; a number", temperature=1e39),
    "temperature 1e-39": value("temperature; too close to 0; 1e-39", temperature=1e-39),
    "temperature list": value("temperature; given: [1]; a number", temperature=[1]),
    "temperature object": value("temperature; given: {'a': 1}; a number", temperature={"a": 1}),
    "temperature huge integer": value("temperature; too large", temperature=10**400),
    "top_p 1.5": value("top_p; given: 1.5; [0, 1]", top_p=1.5),
    "top_p -0.1": value("top_p; given: -0.1; [0, 1]", top_p=-0.1),
    "top_p NaN": value("top_p; given: nan; [0, 1]", top_p=NAN),
    "top_p text": value("top_p; given: 'most'; [0, 1]", top_p="most"),
    "top_k -2": value("top_k; given: -2; an integer", top_k=-2),
    "top_k 1.5": value("top_k; given: 1.5; an integer", top_k=1.5),
    "top_k text": value("top_k; given: '1.5'; an integer", top_k="1.5"),
    "top_k 2^31": value("top_k; given: 2147483648; an integer", top_k=2**31),
    "min_p 1.1": value("min_p; given: 1.1; [0, 1]", min_p=1.1),
    "min_p -Infinity": value("min_p; given: -inf; [0, 1]", min_p=-INFINITY),
    "repetition_penalty 0": value("repetition_penalty; given: 0; (0, inf)", repetition_penalty=0),
    "repetition_penalty -1": value("repetition_penalty; given: -1", repetition_penalty=-1),
    "repetition_penalty Infinity": value("repetition_penalty; inf", repetition_penalty=INFINITY),
    "frequency_penalty 2.1": value("frequency_penalty; given: 2.1; [-2, 2]", frequency_penalty=2.1),
    "frequency_penalty text": value("frequency_penalty; given: 'x'", frequency_penalty="x"),
    "presence_penalty -2.5": value("presence_penalty; given: -2.5", presence_penalty=-2.5),
    "presence_penalty list": value("presence_penalty; given: []", presence_penalty=[]),
    "logit_bias list": value("logit_bias; given: [5]; a map", logit_bias=[5]),
    "logit_bias text": value("logit_bias; given: '5'; a map", logit_bias="5"),
    "logit_bias word": value("logit_bias; 'the'", logit_bias={"the": 1}),
    "logit_bias negative token": value("logit_bias; '-1'", logit_bias={"-1": 1}),
    "logit_bias 1.5": value("logit_bias; '1.5'", logit_bias={"1.5": 1}),
    "logit_bias unknown token": value(
        "logit_bias.49152; no such token; ids below 49152", logit_bias={"49152": 1}
    ),
    "logit_bias text value": value("logit_bias.5; given: 'x'", logit_bias={"5": "x"}),
    "logit_bias null value": value("logit_bias.5; given: None", logit_bias={"5": None}),
    "logit_bias NaN value": value("logit_bias.5; given: nan", logit_bias={"5": NAN}),
    "logit_bias token twice": value("logit_bias; '05'", logit_bias={"5": 1, "05": 2}),
    "order text": value("order; given: 'top_k'; a list", order="top_k"),
    "order empty": value("order; given: []; a list of one or more", order=[]),
    "order misspelt": value("order.0; given: 'topk'; did you mean 'top_k'", order=["topk"]),
    "order twice": value("order; occurs twice", order=["top_k", "top_k"]),
    "order of a penalty": value(
        "order.1; given: 'presence_penalty'", order=["top_k", "presence_penalty"]
    ),
    "order of numbers": value("order.0; given: 1", order=[1]),
    "order object": value("order; given: {'top_k': 1}; a list", order={"top_k": 1}),
    "three at once": value(
        "temperature; top_p; order.0; given: -1; given: 2; given: 'x'",
        temperature=-1,
        top_p=2,
        order=["x"],
    ),
    # the same on other endpoints, and without a preset where the field is the plugin's
    "completions": value("top_p; given: 3", path=COMPLETIONS, top_p=3),
    "responses": value("min_p; given: 3", path=RESPONSES, min_p=3),
    "messages": value("min_p; given: 3", path=MESSAGES, min_p=3),
    "messages without a preset": name("min_p; given: 'x'", path=MESSAGES, min_p="x"),
    "order without a preset": name("order.0; given: 'x'", order=["x"]),
    # names
    "misspelt": name(
        f"preset: unknown preset; given: 'creativ'; {KNOWN}; did you mean 'creative'",
        preset="creativ",
    ),
    "misspelt in Chinese": name("did you mean '代码生成'", preset="代码生层"),
    "misspelt suffix": name("model; given: 'creativ'; 'creative'", model="smollm2:creativ"),
    "empty suffix": name("model; given: ''", model="smollm2:"),
    "suffix path": name("model; '../../etc/passwd'", model="smollm2:../../etc/passwd"),
    "misspelt header": name("header x-sampling-preset; 'caht'; 'chat'", header="caht"),
    "misspelt xargs": name("vllm_xargs.preset; 'mth'; 'math'", vllm_xargs={"preset": "mth"}),
    "empty": name(f"preset; given: ''; {KNOWN}", preset=""),
    "space": name("preset; given: ' '", preset=" "),
    "empty header": name("header x-sampling-preset; given: ''", header=""),
    "path": name("given: '../../etc/passwd'", preset="../../etc/passwd"),
    "file": name("given: 'configs/presets/chat.yaml'", preset="configs/presets/chat.yaml"),
    "very long": name("unknown preset; given: 'aaa; …", preset="a" * 100_000),
    "very long header": name("unknown preset; given: 'aaa; …", header="a" * 10_000),
    "zero byte": name("given: 'chat\\x00'", preset="chat\x00"),
    "line break in a header": name("given: 'chat\\nX-Evil: 1'", header="chat%0AX-Evil:%201"),
    "broken percent code": name("header x-sampling-preset; given: '", header="%E4%BB"),
    "two in a header": name("header x-sampling-preset; 'chat, code'", header="chat, code"),
    "with a digest": name("given: 'chat@da547a4ff650'", preset="chat@da547a4ff650"),
    "inline preset": name("preset.temperature: not allowed; given: -1", preset={"temperature": -1}),
    "inline preset of an unknown one": name(
        "preset.extends: unknown preset; given: 'creativ'", preset={"extends": "creativ"}
    ),
    "inline preset in vllm_xargs": name("vllm_xargs.preset", vllm_xargs={"preset": {"top_p": 1}}),
    "inline list": name("given: ['chat']", preset=["chat"]),
    "number": name("given: 5", preset=5),
    "true": name("given: True", preset=True),
    "NaN": name("given: nan", preset=NAN),
    "lone surrogate": Bad(("unknown preset", "ud800"), {"preset": "\ud800"}),
    "xargs list": name("vllm_xargs.preset; ['chat']", vllm_xargs={"preset": ["chat"]}),
    "half of a character": Bad(("stop: half of a",), {"preset": "chat", "stop": "\udfff"}),
    # ways that disagree
    "field and suffix": name(
        "disagree; model says code; preset says chat", model="smollm2:code", preset="chat"
    ),
    "field and header": name(
        "disagree; preset says chat; header x-sampling-preset says code", "code", preset="chat"
    ),
    "suffix and xargs": name(
        "disagree; vllm_xargs.preset says math",
        model="smollm2:chat",
        vllm_xargs={"preset": "数学"},
    ),
    "one of them unknown": name(
        "preset: unknown preset; 'nope'", model="smollm2:chat", preset="nope"
    ),
    # vllm_xargs
    "xargs text": value("vllm_xargs; given: 'x'; a map", vllm_xargs="x"),
    "xargs array": value("vllm_xargs; given: [1]; a map", vllm_xargs=[1]),
    "xargs number": value("vllm_xargs; given: 5; a map", vllm_xargs=5),
    "chain": name(f"vllm_xargs.temperament; {WRITTEN}", vllm_xargs={"temperament": CHAIN}),
    "chain beside a preset": value(WRITTEN, vllm_xargs={"temperament": CHAIN}),
    "chain of garbage": name(WRITTEN, vllm_xargs={"temperament": "garbage"}),
    "chain of a number": name(WRITTEN, vllm_xargs={"temperament": 5}),
    "chain of null": name(WRITTEN, vllm_xargs={"temperament": None}),
    "chain very long": name(WRITTEN, vllm_xargs={"temperament": " " * 300_000}),
    "chain on messages": name(WRITTEN, path=MESSAGES, vllm_xargs={"temperament": CHAIN}),
    # fields that have no meaning there
    "beam search": value("use_beam_search; doesn't sample", use_beam_search=True, n=2),
    "beam search with an order": name(
        "use_beam_search; doesn't sample", use_beam_search=True, n=2, order=["top_k"]
    ),
    "several greedy choices": Bad(("greedy",), {"preset": "code", "n": 2}),
    # values that vLLM checks
    "max_tokens": value("max_tokens; -5", max_tokens=-5),
    "max_tokens text": value("max_tokens; 'many'", max_tokens="many"),
    "seed": value("seed; 'x'", seed="x"),
    "stop": value("stop", stop=5),
    "empty stop": value("stop cannot contain an empty string", stop=""),
    # bodies
    "not JSON": text("JSON decode error", b"{"),
    "nothing": text("Field required", b""),
    "not UTF-8": text("body", b'{"preset": "\xff\xfe"}'),
    "array": text("valid dictionary", b'[{"preset": "chat"}]'),
    "text": text("valid dictionary", b'"chat"'),
    "null": text("Field required", b"null"),
    "deeply nested": text("body", b'{"preset": ' + b"[" * 100_000),
    "number of 5,000 digits": text("body", b'{"preset": "chat", "top_k": ' + b"1" * 5000 + b"}"),
}


@pytest.mark.parametrize("case", BAD)
def test_is_refused(v1_server: Server, case: str) -> None:
    """A bad request is answered 400 with a short message that says what is wrong."""
    bad = BAD[case]
    answer = bad.send(v1_server)

    assert 400 == answer.status, answer.json
    message = answer.json.get("detail") or answer.message
    for part in bad.parts:
        assert part in message
    assert len(message) < 2000
    assert 200 == httpx.get(f"{v1_server.url}/health").status_code


@pytest.mark.parametrize("path", ENDPOINTS)
def test_the_form_of_an_error(v1_server: Server, path: str) -> None:
    """A refusal has OpenAI's form, on /v1/messages Anthropic's."""
    answer = ask(v1_server, path, "smollm2:creativ")

    assert 400 == answer.status
    assert answer.label is None
    if path == MESSAGES:
        assert "error" == answer.json["type"]
        assert "invalid_request_error" == answer.json["error"]["type"]
    else:
        assert {"message", "type", "param", "code"} == answer.json["error"].keys()
        assert "model" == answer.json["error"]["param"]


def test_two_headers_that_disagree(v1_server: Server) -> None:
    """Two headers that name different presets are refused."""
    headers = [(HEADER, "chat"), (HEADER, "code")]
    answer = httpx.post(f"{v1_server.url}{CHAT}", json=body(CHAT, "smollm2"), headers=headers)

    assert 400 == answer.status_code
    assert "chat, code" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["creativ", "代码生层", "../chat", "a" * 300, "%00"])
def test_unknown_names_in_the_address(v1_server: Server, name: str) -> None:
    """`GET /v1/presets/{name}` answers 404, and never reads a file."""
    answer = httpx.get(f"{v1_server.url}/v1/presets/{quote(name, safe='')}")

    assert 404 == answer.status_code
    assert "temperature" not in answer.text


def test_good_requests_among_bad_ones(v1_server: Server) -> None:
    """Good requests are answered while all bad ones are refused at the same time."""

    def good(number: int) -> Answer:
        return ask(v1_server, ENDPOINTS[number % 4], "smollm2:creative", top_k=5)

    with ThreadPoolExecutor(16) as pool:
        refused = [pool.submit(bad.send, v1_server) for bad in BAD.values()]
        answered = [pool.submit(good, number) for number in range(16)]

    assert {400} == {answer.result().status for answer in refused}
    assert {200} == {answer.result().status for answer in answered}
    assert 200 == ask(v1_server, CHAT, "smollm2").status


def test_the_table_is_long_enough() -> None:
    """The table has at least sixty bad requests."""
    assert len(BAD) >= 60
