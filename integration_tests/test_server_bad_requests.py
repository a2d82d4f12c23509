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
KNOWN = "allowed: answers"
CHAIN = json.dumps({"temperature": 2.5})
OURS = "is written by the server"


@dataclass(frozen=True)
class Bad:
    """A request, and words of the message that answers it."""

    words: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    path: str = CHAT
    header: str | None = None
    raw: bytes | None = None

    def send(self, server: Server) -> Answer:
        """Sends it as it is: NaN stands in the JSON as the literal."""
        content = self.raw
        if content is None:
            content = json.dumps({**body(self.path, "smollm2"), **self.fields}).encode()
        return post(server, self.path, content, {} if self.header is None else self.headers)

    @property
    def headers(self) -> dict[str, str]:
        """The header that names a preset."""
        return {HEADER: self.header or ""}


def said(words: str, /, path: str = CHAT, **fields: Any) -> Bad:
    """A bad value beside a good preset; `words` are divided by semicolons."""
    return Bad(tuple(words.split("; ")), {"preset": "chat", **fields}, path)


def named(words: str, /, header: str | None = None, path: str = CHAT, **fields: Any) -> Bad:
    """A bad name."""
    return Bad(tuple(words.split("; ")), fields, path, header)


def text(words: str, raw: bytes) -> Bad:
    """A body that isn't a JSON object: vLLM's own answer comes through."""
    return Bad((words,), raw=raw)


BAD: dict[str, Bad] = {
    # each field, out of its range and of a wrong type
    "temperature -0.1": said("temperature; given: -0.1; a number in [0, inf)", temperature=-0.1),
    "temperature text": said("temperature; given: 'hot'; a number", temperature="hot"),
    "temperature number as text": said("temperature; given: '0.7'; a number", temperature="0.7"),
    "temperature true": said("temperature; given: True; a number", temperature=True),
    "temperature NaN": said("temperature; given: nan; a number", temperature=NAN),
    "temperature Infinity": said("temperature; given: inf; a number", temperature=INFINITY),
    "temperature 1e39": said("temperature; given: 1e+39; a number", temperature=1e39),
    "temperature 1e-39": said("temperature; too close to 0; 1e-39", temperature=1e-39),
    "temperature list": said("temperature; given: [1]; a number", temperature=[1]),
    "temperature object": said("temperature; given: {'a': 1}; a number", temperature={"a": 1}),
    "temperature huge integer": said("temperature; too large", temperature=10**400),
    "top_p 1.5": said("top_p; given: 1.5; [0, 1]", top_p=1.5),
    "top_p -0.1": said("top_p; given: -0.1; [0, 1]", top_p=-0.1),
    "top_p NaN": said("top_p; given: nan; [0, 1]", top_p=NAN),
    "top_p text": said("top_p; given: '0.9'; [0, 1]", top_p="0.9"),
    "top_k -2": said("top_k; given: -2; an integer", top_k=-2),
    "top_k 1.5": said("top_k; given: 1.5; an integer", top_k=1.5),
    "top_k true": said("top_k; given: True; an integer", top_k=True),
    "top_k 2^31": said("top_k; given: 2147483648; an integer", top_k=2**31),
    "min_p 1.1": said("min_p; given: 1.1; [0, 1]", min_p=1.1),
    "min_p -Infinity": said("min_p; given: -inf; [0, 1]", min_p=-INFINITY),
    "repetition_penalty 0": said("repetition_penalty; given: 0; (0, inf)", repetition_penalty=0),
    "repetition_penalty -1": said("repetition_penalty; given: -1", repetition_penalty=-1),
    "repetition_penalty Infinity": said("repetition_penalty; inf", repetition_penalty=INFINITY),
    "frequency_penalty 2.1": said("frequency_penalty; given: 2.1; [-2, 2]", frequency_penalty=2.1),
    "frequency_penalty text": said("frequency_penalty; given: 'x'", frequency_penalty="x"),
    "presence_penalty -2.5": said("presence_penalty; given: -2.5", presence_penalty=-2.5),
    "presence_penalty list": said("presence_penalty; given: []", presence_penalty=[]),
    "logit_bias list": said("logit_bias; given: [5]; a map", logit_bias=[5]),
    "logit_bias text": said("logit_bias; given: '5'; a map", logit_bias="5"),
    "logit_bias word": said("logit_bias; 'the'", logit_bias={"the": 1}),
    "logit_bias negative token": said("logit_bias; '-1'", logit_bias={"-1": 1}),
    "logit_bias 1.5": said("logit_bias; '1.5'", logit_bias={"1.5": 1}),
    "logit_bias unknown token": said(
        "logit_bias.49152; no such token; ids below 49152", logit_bias={"49152": 1}
    ),
    "logit_bias text value": said("logit_bias.5; given: 'x'", logit_bias={"5": "x"}),
    "logit_bias null value": said("logit_bias.5; given: None", logit_bias={"5": None}),
    "logit_bias NaN value": said("logit_bias.5; given: nan", logit_bias={"5": NAN}),
    "logit_bias token twice": said("logit_bias; '05'", logit_bias={"5": 1, "05": 2}),
    "order text": said("order; given: 'top_k'; a list", order="top_k"),
    "order empty": said("order; given: []; a list of one or more", order=[]),
    "order misspelt": said("order.0; given: 'topk'; did you mean 'top_k'", order=["topk"]),
    "order twice": said("order; stands twice", order=["top_k", "top_k"]),
    "order of a penalty": said(
        "order.1; given: 'presence_penalty'", order=["top_k", "presence_penalty"]
    ),
    "order of numbers": said("order.0; given: 1", order=[1]),
    "order object": said("order; given: {'top_k': 1}; a list", order={"top_k": 1}),
    "three at once": said(
        "temperature; top_p; order.0; given: -1; given: 2; given: 'x'",
        temperature=-1,
        top_p=2,
        order=["x"],
    ),
    # the same on other endpoints, and without a preset where the field is ours
    "completions": said("top_p; given: 3", path=COMPLETIONS, top_p=3),
    "responses": said("min_p; given: 3", path=RESPONSES, min_p=3),
    "messages": said("min_p; given: 3", path=MESSAGES, min_p=3),
    "messages without a preset": named("min_p; given: 'x'", path=MESSAGES, min_p="x"),
    "order without a preset": named("order.0; given: 'x'", order=["x"]),
    # names
    "misspelt": named(
        f"preset: unknown preset; given: 'creativ'; {KNOWN}; did you mean 'creative'",
        preset="creativ",
    ),
    "misspelt in Chinese": named("did you mean '代码生成'", preset="代码生层"),
    "misspelt suffix": named("model; given: 'creativ'; 'creative'", model="smollm2:creativ"),
    "empty suffix": named("model; given: ''", model="smollm2:"),
    "suffix path": named("model; '../../etc/passwd'", model="smollm2:../../etc/passwd"),
    "misspelt header": named("header x-sampling-preset; 'caht'; 'chat'", header="caht"),
    "misspelt xargs": named("vllm_xargs.preset; 'mth'; 'math'", vllm_xargs={"preset": "mth"}),
    "empty": named(f"preset; given: ''; {KNOWN}", preset=""),
    "space": named("preset; given: ' '", preset=" "),
    "empty header": named("header x-sampling-preset; given: ''", header=""),
    "path": named("given: '../../etc/passwd'", preset="../../etc/passwd"),
    "file": named("given: 'configs/presets/chat.yaml'", preset="configs/presets/chat.yaml"),
    "very long": named("unknown preset; given: 'aaa; …", preset="a" * 100_000),
    "very long header": named("unknown preset; given: 'aaa; …", header="a" * 10_000),
    "zero byte": named("given: 'chat\\x00'", preset="chat\x00"),
    "line break in a header": named("given: 'chat\\nX-Evil: 1'", header="chat%0AX-Evil:%201"),
    "broken percent code": named("header x-sampling-preset; given: '", header="%E4%BB"),
    "two in a header": named("header x-sampling-preset; 'chat, code'", header="chat, code"),
    "with a digest": named("given: 'chat@da547a4ff650'", preset="chat@da547a4ff650"),
    "inline preset": named(
        "preset.temperature: not allowed; given: -1", preset={"temperature": -1}
    ),
    "inline preset of an unknown one": named(
        "preset.extends: unknown preset; given: 'creativ'", preset={"extends": "creativ"}
    ),
    "inline preset in vllm_xargs": named("vllm_xargs.preset", vllm_xargs={"preset": {"top_p": 1}}),
    "inline list": named("given: ['chat']", preset=["chat"]),
    "number": named("given: 5", preset=5),
    "true": named("given: True", preset=True),
    "NaN": named("given: nan", preset=NAN),
    "lone surrogate": Bad(("unknown preset", "ud800"), {"preset": "\ud800"}),
    "xargs list": named("vllm_xargs.preset; ['chat']", vllm_xargs={"preset": ["chat"]}),
    "half of a character": Bad(("stop: half of a",), {"preset": "chat", "stop": "\udfff"}),
    # ways that disagree
    "field and suffix": named(
        "disagree; model says code; preset says chat", model="smollm2:code", preset="chat"
    ),
    "field and header": named(
        "disagree; preset says chat; header x-sampling-preset says code", "code", preset="chat"
    ),
    "suffix and xargs": named(
        "disagree; vllm_xargs.preset says math",
        model="smollm2:chat",
        vllm_xargs={"preset": "数学"},
    ),
    "one of them unknown": named(
        "preset: unknown preset; 'nope'", model="smollm2:chat", preset="nope"
    ),
    # vllm_xargs
    "xargs text": said("vllm_xargs; given: 'x'; a map", vllm_xargs="x"),
    "xargs array": said("vllm_xargs; given: [1]; a map", vllm_xargs=[1]),
    "xargs number": said("vllm_xargs; given: 5; a map", vllm_xargs=5),
    "chain": named(f"vllm_xargs.temperament; {OURS}", vllm_xargs={"temperament": CHAIN}),
    "chain beside a preset": said(OURS, vllm_xargs={"temperament": CHAIN}),
    "chain of garbage": named(OURS, vllm_xargs={"temperament": "garbage"}),
    "chain of a number": named(OURS, vllm_xargs={"temperament": 5}),
    "chain of null": named(OURS, vllm_xargs={"temperament": None}),
    "chain very long": named(OURS, vllm_xargs={"temperament": " " * 300_000}),
    "chain on messages": named(OURS, path=MESSAGES, vllm_xargs={"temperament": CHAIN}),
    # no meaning there
    "beam search": said("use_beam_search; searches", use_beam_search=True, n=2),
    "beam search with an order": named(
        "use_beam_search; searches", use_beam_search=True, n=2, order=["top_k"]
    ),
    "several greedy choices": Bad(("greedy",), {"preset": "code", "n": 2}),
    # what vLLM itself judges
    "max_tokens": said("max_tokens; -5", max_tokens=-5),
    "max_tokens text": said("max_tokens; 'many'", max_tokens="many"),
    "seed": said("seed; 'x'", seed="x"),
    "stop": said("stop", stop=5),
    "empty stop": said("stop cannot contain an empty string", stop=""),
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


@pytest.mark.parametrize("name", BAD)
def test_is_refused(v1_server: Server, name: str) -> None:
    """400, with a message of a bearable length that says what is wrong."""
    bad = BAD[name]
    answer = bad.send(v1_server)

    assert answer.status == 400, answer.json
    message = answer.json.get("detail") or answer.message
    for word in bad.words:
        assert word in message
    assert len(message) < 2000
    assert httpx.get(f"{v1_server.url}/health").status_code == 200


@pytest.mark.parametrize("path", ENDPOINTS)
def test_the_form_of_an_error(v1_server: Server, path: str) -> None:
    """OpenAI's where its clients look, Anthropic's on /v1/messages."""
    answer = ask(v1_server, path, "smollm2:creativ")

    assert answer.status == 400
    assert answer.label is None
    if path == MESSAGES:
        assert answer.json["type"] == "error"
        assert answer.json["error"]["type"] == "invalid_request_error"
    else:
        assert answer.json["error"].keys() == {"message", "type", "param", "code"}
        assert answer.json["error"]["param"] == "model"


def test_two_headers_that_disagree(v1_server: Server) -> None:
    """None of them is preferred in silence."""
    headers = [(HEADER, "chat"), (HEADER, "code")]
    answer = httpx.post(f"{v1_server.url}{CHAT}", json=body(CHAT, "smollm2"), headers=headers)

    assert answer.status_code == 400
    assert "chat, code" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["creativ", "代码生层", "../chat", "a" * 300, "%00"])
def test_unknown_names_in_the_address(v1_server: Server, name: str) -> None:
    """`GET /v1/presets/{name}` answers 404, and never reads a file."""
    answer = httpx.get(f"{v1_server.url}/v1/presets/{quote(name, safe='')}")

    assert answer.status_code == 404
    assert "temperature" not in answer.text


def test_good_requests_among_bad_ones(v1_server: Server) -> None:
    """All bad requests at once harm none of the good ones that run beside them."""

    def good(number: int) -> Answer:
        return ask(v1_server, ENDPOINTS[number % 4], "smollm2:creative", top_k=5)

    with ThreadPoolExecutor(16) as pool:
        refused = [pool.submit(bad.send, v1_server) for bad in BAD.values()]
        answered = [pool.submit(good, number) for number in range(16)]

    assert {answer.result().status for answer in refused} == {400}
    assert {answer.result().status for answer in answered} == {200}
    assert ask(v1_server, CHAT, "smollm2").status == 200


def test_the_table_is_long_enough() -> None:
    """Issue 2 asks for sixty."""
    assert len(BAD) >= 60
