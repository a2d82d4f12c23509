"""The middleware, around a small application that answers with what it was given."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry

from temperament import Catalogue
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.markers import configs
from temperament.server.admission import Admission
from temperament.server.answer import Message, Send
from temperament.server.endpoints import ENDPOINTS
from temperament.server.metrics import Metrics
from temperament.server.middleware import PresetMiddleware, Receive, Scope
from temperament.server.restrictions import Bounds, Restrictions
from temperament.server.scan import LARGE_BYTES
from temperament.server.served import Served

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


class Echo:
    """An application that keeps the request, and answers in two pieces."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.raw: bytes | None = None
        self.after: Message = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        if scope["type"] != "http":
            return
        self.raw = b""
        while True:
            message = await receive()
            self.raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
        self.after = await receive()


class Exchange:
    """One request through the middleware, and its answer."""

    def __init__(
        self,
        admission: Admission | None,
        content: Any,
        *,
        path: str = CHAT,
        headers: Iterable[tuple[bytes, bytes]] = (),
        pieces: int = 1,
        **scope: Any,
    ) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        size = -(-len(raw) // pieces) or 1
        parts = [raw[i : i + size] for i in range(0, len(raw), size)] or [b""]
        self.waiting: list[Message] = [
            {"type": "http.request", "body": part, "more_body": part is not parts[-1]}
            for part in parts
        ]
        self.sent: list[Message] = []
        self.app = Echo()
        all_headers = [(b"content-length", str(len(raw)).encode()), *headers]
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": all_headers,
            **scope,
        }
        self.registry = CollectorRegistry()
        middleware = PresetMiddleware(self.app, Served(admission), Metrics(self.registry))
        asyncio.run(middleware(self.scope, self.receive, self.send))

    async def receive(self) -> Message:
        """Returns the request's next piece, then that the client has disconnected."""
        return self.waiting.pop(0) if self.waiting else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Keeps a message of the answer."""
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The answer's."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The answer's."""
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> Any:
        """The body that the application received, as JSON."""
        return json.loads(self.app.raw or b"null")

    @property
    def error(self) -> Any:
        """The answer, as JSON."""
        return json.loads(self.sent[1]["body"])


class TestChanges:
    """A request that names a preset."""

    @pytest.mark.parametrize("pieces", [1, 3, 10])
    def test_body_and_label(self, admission: Admission, catalogue: Catalogue, pieces: int) -> None:
        """The application gets the rewritten body, however it was split; the answer is labelled."""
        done = Exchange(admission, {"model": "m", "preset": "chat"}, pieces=pieces)

        assert 0.6 == done.body["temperature"]
        assert "preset" not in done.body
        lengths = [value for name, value in done.app.scope["headers"] if name == b"content-length"]
        assert [str(len(done.app.raw or b"")).encode()] == lengths
        assert done.headers[b"x-sampling-preset"] == catalogue["chat"].label.encode()
        assert b"text/event-stream" == done.headers[b"content-type"]

    def test_the_answer_streams(self, admission: Admission) -> None:
        """The answer's pieces are passed on one by one; a client that disconnects is noticed."""
        done = Exchange(admission, {"preset": "chat"})

        assert [None, b"one", b"two"] == [message.get("body") for message in done.sent]
        assert {"type": "http.disconnect"} == done.app.after

    @pytest.mark.parametrize("name", ["temperature", "top_p", "frequency_penalty", "min_p"])
    def test_a_schedule_in_a_large_body(self, admission: Admission, name: str) -> None:
        """A body with a schedule is handled, however large: vLLM can't read it."""
        schedule = {"from": 0.9, "to": 0.5, "over": 9, "curve": "linear"}
        messages = [{"role": "user", "content": "x" * (LARGE_BYTES + 1)}]
        done = Exchange(admission, {"messages": messages, name: schedule})

        assert json.loads(done.body["vllm_xargs"]["temperament"])[name] == schedule
        assert not isinstance(done.body.get(name), dict)

    @pytest.mark.parametrize(
        "header",
        [b"chat", b"  Chat ", "通用对话".encode(), quote("通用对话").encode()],
        ids=["plain", "spaces", "utf-8", "percent"],
    )
    def test_the_header(self, admission: Admission, header: bytes) -> None:
        """The header's name may be ASCII, UTF-8 or percent-encoded."""
        done = Exchange(admission, {}, headers=[(b"x-sampling-preset", header)])

        assert 0.6 == done.body["temperature"]

    @pytest.mark.parametrize(
        ("path", "root"),
        [(CHAT, ""), (f"{CHAT}/", ""), (f"/api{CHAT}", "/api"), (MESSAGES, "")],
    )
    def test_paths(self, admission: Admission, path: str, root: str) -> None:
        """A proxy's prefix and a slash at the end of the path don't matter."""
        done = Exchange(admission, {"preset": "chat"}, path=path, root_path=root)

        assert 0.6 == done.body["temperature"]

    def test_odd_but_valid_json(self, admission: Admission) -> None:
        """NaN, huge numbers, surrogate pairs and other fields pass unchanged."""
        raw = (
            b'{"preset": "chat", "a": NaN, "b": 1e999, "c": "\\ud83d\\udca1", "d": "\xe6\xb5\xb7"}'
        )
        done = Exchange(admission, raw)

        assert "nan" == str(done.body["a"])
        assert (float("inf"), "💡", "海") == (done.body["b"], done.body["c"], done.body["d"])


class TestPasses:
    """Requests that pass unchanged."""

    @pytest.mark.parametrize(
        "raw",
        [
            b"{}",
            b'{"model":  "m"}',
            b"",
            b"{",
            b"null",
            b'["preset"]',
            b'"preset"',
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"preset": ' + b"1" * 5000 + b"}",
        ],
        ids=lambda raw: repr(raw[:20]),
    )
    def test_bodies(self, admission: Admission, raw: bytes) -> None:
        """The body passes byte for byte, and the answer has no label, even if it isn't JSON."""
        done = Exchange(admission, raw)

        assert done.app.raw == raw
        assert done.app.scope is done.scope
        assert b"x-sampling-preset" not in done.headers

    @pytest.mark.parametrize(
        "scope",
        [
            {"method": "GET"},
            {"path": "/v1/models"},
            {"path": "/v1/chat/completions/derender"},
            {"path": "/other/v1/chat/completions"},
            {"type": "websocket"},
            {"type": "lifespan"},
        ],
        ids=str,
    )
    def test_other_requests(self, admission: Admission, scope: dict[str, Any]) -> None:
        """The bodies of other methods and paths aren't read."""
        done = Exchange(admission, {"preset": "nope"}, **scope)

        assert done.app.scope is done.scope

    def test_before_the_start(self) -> None:
        """Until the server has started, every request passes."""
        done = Exchange(None, {"preset": "nope"})

        assert {"preset": "nope"} == done.body

    def test_a_client_that_goes_early(self, admission: Admission) -> None:
        """If the client disconnects before its body is complete, the application isn't called."""
        metrics = Metrics(CollectorRegistry())
        middleware = PresetMiddleware(app := Echo(), Served(admission), metrics)
        pieces: list[Message] = [
            {"type": "http.request", "body": b'{"preset"', "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Message:
            return pieces.pop(0)

        async def send(message: Message) -> None:
            raise AssertionError(message)

        scope: Scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
        asyncio.run(middleware(scope, receive, send))

        assert {} == app.scope


class TestSillyTavern:
    """A body as SillyTavern sends it, with all its fields at the top level."""

    BODY: ClassVar[dict[str, Any]] = {
        "prompt": "x",
        "temperature": 1.1,
        "typical": 0.9,
        "nsigma": 0,
        "guidance_scale": 1.5,
        "stopping_strings": ["a"],
        "truncation_length": 2048,
        "api_type": "vllm",
    }

    def test_what_isnt_honoured_is_named(self, admission: Admission) -> None:
        """A header lists what isn't honoured; vLLM gets the rest under a preset's names."""
        done = Exchange(admission, self.BODY)
        body = json.loads(done.app.raw or b"")
        warning = done.headers[b"x-sampling-warning"].decode()

        assert 200 == done.status
        assert body.keys() >= {"prompt", "stop", "vllm_xargs"}
        assert not body.keys() & {"typical", "guidance_scale", "api_type", "stopping_strings"}
        assert [
            "guidance_scale",
            "api_type",
            "truncation_length",
        ] == [part.partition(":")[0] for part in warning.split("; ")]

    def test_fields_that_vllm_reads_by_other_names(self, admission: Admission) -> None:
        """A body with nothing for Temperament still gets vLLM's names for its fields."""
        body = {"prompt": "x", "stopping_strings": ["END"], "max_new_tokens": 5, "echo": True}
        done = Exchange(admission, {**body, "truncation_length": 2048, "ban_eos_token": False})
        seen = json.loads(done.app.raw or b"")

        assert (["END"], 5, True) == (seen["stop"], seen["max_tokens"], seen["echo"])
        assert "vllm_xargs" not in seen
        assert b"truncation_length" in done.headers[b"x-sampling-warning"]

    def test_a_body_that_vllm_reads_as_it_is(self, admission: Admission) -> None:
        """A body whose fields have vLLM's names isn't written again."""
        body = {"prompt": "x", "stop": ["END"], "truncation_length": 5, "ban_eos_token": False}
        done = Exchange(admission, body)

        assert body == json.loads(done.app.raw or b"")
        assert b"x-sampling-warning" not in done.headers

    def test_a_body_of_ones_own_is_refused(self, admission: Admission) -> None:
        """A body without SillyTavern's marks that can't be honoured is refused."""
        done = Exchange(admission, {"prompt": "x", "guidance_scale": 1.5})

        assert 400 == done.status
        assert "second forward pass" in done.error["error"]["message"]


class TestBesideTheLoop:
    """What may take long runs in a thread, so that other requests go on."""

    @pytest.mark.parametrize(
        ("body", "header"),
        [
            ({"preset": "story"}, []),
            ({}, [(b"x-sampling-preset", b"story")]),
            ({"preset": {"extends": "story"}}, []),
            ({"preset": "chat", "banned_strings": ["delve"]}, []),
        ],
    )
    def test_texts_of_a_preset(
        self, admission: Admission, body: dict[str, Any], header: list[tuple[bytes, bytes]]
    ) -> None:
        """Texts are tried on the vocabulary beside the loop, once for equal requests."""
        in_loop: list[bool] = []

        def tokens() -> TokenBytes:
            in_loop.append(threading.current_thread() is threading.main_thread())
            return TokenBytes(tuple(bytes([byte]) for byte in range(256)))

        admission = replace(admission, tokens=tokens)
        done = [Exchange(admission, body, headers=header) for _ in range(2)]

        assert [200, 200] == [each.status for each in done]
        assert "temperament" in done[0].body["vllm_xargs"]
        assert [False] == in_loop


class TestRefusals:
    """Requests that are answered 400."""

    def test_openais_form(self, admission: Admission) -> None:
        """A refusal has OpenAI's form, and the application isn't called."""
        done = Exchange(admission, {"preset": "caht"})

        assert 400 == done.status
        assert done.app.raw is None
        assert 400 == done.error["error"]["code"]
        assert "preset" == done.error["error"]["param"]
        assert "did you mean 'chat'" in done.error["error"]["message"]
        assert done.headers[b"content-length"] == str(len(done.sent[1]["body"])).encode()

    def test_anthropics_form(self, admission: Admission) -> None:
        """A refusal on /v1/messages has Anthropic's form."""
        done = Exchange(admission, {"preset": "caht"}, path=MESSAGES)

        assert 400 == done.status
        assert "error" == done.error["type"]
        assert {"type", "message"} == done.error["error"].keys()

    @pytest.mark.parametrize(
        ("headers", "message"),
        [
            ([(b"x-sampling-preset", b"")], "given: ''"),
            ([(b"x-sampling-preset", b"chat%0d%0aSet-Cookie: a")], r"'chat\r\nSet-Cookie: a'"),
            ([(b"x-sampling-preset", b"\xff\xfe")], "unknown preset"),
            ([(b"x-sampling-preset", b"chat"), (b"x-sampling-preset", b"code")], "'chat, code'"),
        ],
        ids=str,
    )
    def test_headers(
        self, admission: Admission, headers: list[tuple[bytes, bytes]], message: str
    ) -> None:
        """An odd header is an unknown name; the message shows no control characters."""
        done = Exchange(admission, {}, headers=headers)

        assert 400 == done.status
        assert message in done.error["error"]["message"]

    @pytest.mark.parametrize("half", [r'"\udfff\ud800"', r'["a", "\ud83d"]', r'{"\uDC00": 1}'])
    def test_half_of_a_character(self, admission: Admission, half: str) -> None:
        """A lone surrogate is refused in fields in which vLLM would answer 500."""
        raw = f'{{"preset": "chat", "stop": {half}, "user": "\\ud83d\\udca1", "a": {half}}}'
        done = Exchange(admission, raw.encode())

        assert 400 == done.status
        message = done.error["error"]["message"]
        assert "stop: half of a character" in message
        assert "a: half of a character" in message
        assert "user" not in message

    def test_a_message_that_json_must_escape(self, admission: Admission) -> None:
        """Lone surrogates and quotes in a value don't break the error's JSON."""
        done = Exchange(admission, b'{"preset": "\\ud800\\"\\u0000\\u2028"}')

        assert 400 == done.status
        assert "unknown preset" in done.error["error"]["message"]


class TestMetrics:
    """The counters of `/metrics`."""

    @pytest.mark.parametrize(
        ("body", "preset"),
        [
            ({"preset": "对话"}, "chat"),
            ({"preset": {"top_p": 0.5}}, "inline"),
            ({"top_a": 0.5}, "(fields)"),
            ({"temperature": 0.5}, "(none)"),
        ],
        ids=str,
    )
    def test_requests_by_preset(
        self, admission: Admission, body: dict[str, Any], preset: str
    ) -> None:
        """A preset is counted under its name, whichever alias the request used."""
        done = Exchange(admission, body)
        count = done.registry.get_sample_value("temperament_requests_total", {"preset": preset})

        assert 1 == count

    @pytest.mark.parametrize(
        ("body", "reasons"),
        [
            ({"preset": "nope"}, ["unknown_preset"]),
            ({"preset": "code", "model": "m:chat"}, ["contradiction"]),
            ({"top_h": 7, "min_p": -1}, ["value"]),
            ({"guidance_scale": 2.0}, ["unsupported"]),
            ({"preset": "chat", "use_beam_search": True}, ["contradiction"]),
            ({"preset": "creative"}, ["restricted"]),
            ({"preset": "nope", "model": "m:creative"}, ["restricted", "unknown_preset"]),
        ],
        ids=str,
    )
    def test_refusals_by_reason(
        self, admission: Admission, body: dict[str, Any], reasons: list[str]
    ) -> None:
        """A refused request counts once for each of its reasons."""
        server = replace(admission, restrictions=Restrictions(allow=("code", "chat")))
        done = Exchange(server, body)
        counted = {
            sample.labels["reason"]
            for metric in done.registry.collect()
            for sample in metric.samples
            if sample.name == "temperament_refusals_total"
        }

        assert 400 == done.status
        assert reasons == sorted(counted)


class Fixed:
    """An application with one answer."""

    def __init__(self, answer: Any, kind: bytes = b"application/json") -> None:
        self.raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self.kind), (b"content-length", b"%d" % len(self.raw))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for place in range(0, len(self.raw), 50):
            more = place + 50 < len(self.raw)
            part = self.raw[place : place + 50]
            await send({"type": "http.response.body", "body": part, "more_body": more})


def answer_of(
    admission: Admission, app: Fixed, body: Any = None, path: str = CHAT
) -> tuple[bytes, dict[bytes, bytes]]:
    """Returns what a client gets from an application behind the middleware."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Message) -> None:
        sent.append(message)

    method = "GET" if body is None else "POST"
    scope: Scope = {"type": "http", "method": method, "path": path, "headers": []}
    middleware = PresetMiddleware(app, Served(admission), Metrics(CollectorRegistry()))
    asyncio.run(middleware(scope, receive, send))
    return b"".join(message["body"] for message in sent[1:]), dict(sent[0]["headers"])


class TestModelNames:
    """MODEL:PRESET, in the list of models and in an answer."""

    MODELS: ClassVar = {
        "object": "list",
        "data": [{"id": "m", "root": "/m", "parent": None}, {"id": "poet", "parent": "m"}],
    }

    def test_advertised(self, admission: Admission) -> None:
        """The list has MODEL:PRESET for each model and each preset that a request can name."""
        server = replace(
            admission,
            advertise=True,
            restrictions=Restrictions(allow=("chat", "code", "recommended")),
        )
        raw, headers = answer_of(server, Fixed(self.MODELS), path="/v1/models")
        found = {one["id"]: one for one in json.loads(raw)["data"]}

        assert ["m", "poet", "m:chat", "m:code", "poet:chat", "poet:code"] == list(found)
        assert {"id": "m:chat", "root": "/m", "parent": "m"} == found["m:chat"]
        assert int(headers[b"content-length"]) == len(raw)

    def test_examples_are_not_advertised(self, admission: Admission) -> None:
        """The list begins with the scenarios; requests may name the examples that it leaves out."""
        raw, _ = answer_of(
            replace(admission, advertise=True), Fixed(self.MODELS), path="/v1/models"
        )
        ids = [one["id"] for one in json.loads(raw)["data"] if one["id"].startswith("m:")]
        listed = [name.removeprefix("m:") for name in ids]
        examples = {file.stem for file in (configs() / "examples").glob("*.yaml")}

        assert ["auto", "chat", "code", "creative", "data", "default", "math"] == listed[:7]
        assert [name for name in admission.catalogue if name in listed] == listed
        assert examples.isdisjoint(listed)
        assert examples <= set(admission.catalogue)

    @pytest.mark.parametrize("answer", [b"no JSON", {"data": None}, {"error": 1}, [1]], ids=str)
    def test_other_answers_go_through(self, admission: Admission, answer: Any) -> None:
        """An answer without a list of models, such as an error, passes unchanged."""
        raw, _ = answer_of(replace(admission, advertise=True), Fixed(answer), path="/v1/models")

        assert raw == answer if isinstance(answer, bytes) else json.loads(raw) == answer

    def test_not_advertised(self, admission: Admission) -> None:
        """Without `advertise`, the list of models is vLLM's."""
        raw, _ = answer_of(admission, Fixed(self.MODELS), path="/v1/models")

        assert json.loads(raw) == self.MODELS

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"model": "m", "choices": []}, {"model": "m:chat", "choices": []}),
            ({"response": {"model": "m"}}, {"response": {"model": "m:chat"}}),
            ({"message": {"model": "m"}, "x": 1}, {"message": {"model": "m:chat"}, "x": 1}),
            ({"error": "no"}, {"error": "no"}),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("streams", [False, True])
    def test_an_answer_has_the_name_that_was_asked_for(
        self, admission: Admission, answer: Any, expected: Any, streams: bool
    ) -> None:
        """The answer's model is MODEL:PRESET, in one object and in each event of a stream."""
        text = json.dumps(answer)
        raw = f"event: x\ndata: {text}\n\ndata: {text}\n\ndata: [DONE]\n\n" if streams else text
        kind = b"text/event-stream; charset=utf-8" if streams else b"application/json"
        passed, _ = answer_of(
            admission, Fixed(raw.encode(), kind), {"model": "m:chat", "messages": []}
        )
        lines = passed.decode().splitlines() if streams else [f"data: {passed.decode()}"]
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

        assert [json.loads(one) for one in data if one != "[DONE]"] == [expected] * (1 + streams)
        assert not streams or passed.startswith(b"event: x\ndata: {")
        assert not streams or passed.endswith(b"data: [DONE]\n\n")

    def test_another_way_of_naming_leaves_it(self, admission: Admission) -> None:
        """A preset that isn't named after the model leaves the answer as it is."""
        raw = b'{"model":  "m"}'
        passed, _ = answer_of(admission, Fixed(raw), {"model": "m", "preset": "chat"})

        assert passed == raw


def test_nothing_is_read_of_what_authentication_refuses(admission: Admission) -> None:
    """Behind vLLM's own middleware: not a byte of the body is asked for, and nothing is counted."""
    from vllm.entrypoints.serve.middleware.authenticate import AuthenticationMiddleware

    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    registry = CollectorRegistry()
    inner = PresetMiddleware(Echo(), Served(admission), Metrics(registry))
    app = AuthenticationMiddleware(inner, ["secret"])
    for path in (*ENDPOINTS, "/v1/presets/reload"):
        if path in ("/invocations", "/generative_scoring"):  # vLLM itself leaves these open
            continue
        for key in (b"Bearer wrong", b"secret", b""):
            scope: Scope = {
                "type": "http",
                "method": "POST",
                "path": path,
                "headers": [(b"authorization", key)],
            }
            asyncio.run(app(scope, receive, send))

            assert 401 == sent[-2]["status"]
    assert not [s for m in registry.collect() for s in m.samples if "requests" in s.name]


def test_a_body_that_is_nested_too_deeply(admission: Admission) -> None:
    """A body that is nested too deeply is refused, where vLLM would answer 500."""
    done = Exchange(admission, b'{"preset": "chat", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")

    assert done.app.raw is None
    assert 400 == done.sent[0]["status"]
    assert b"nested too deeply" in done.sent[1]["body"]


UNSUPPORTED = [path for path, endpoint in ENDPOINTS.items() if endpoint.unsupported]


@pytest.mark.parametrize("path", UNSUPPORTED)
class TestUnsupportedRoutes:
    """Routes that draw tokens and on which no preset can act."""

    def test_requests_of_others_pass(self, admission: Admission, path: str) -> None:
        """Without a preset, a default and locks the route is vLLM's own."""
        body = {"model": "m", "temperature": 3, "sampling_params": {"top_k": 5}}

        assert body == Exchange(admission, body, path=path).body

    @pytest.mark.parametrize(
        "body",
        [{"preset": "chat"}, {"model": "m:chat"}, {"dry_multiplier": 0.5}, {"preset_trace": True}],
        ids=lambda body: next(iter(body)),
    )
    def test_a_preset_is_refused(
        self, admission: Admission, path: str, body: dict[str, Any]
    ) -> None:
        """A request with a preset or a field of the plugin is answered with the reason."""
        served = replace(admission, serves=lambda name: name == "m")
        done = Exchange(served, body, path=path)

        assert 400 == done.status
        assert "no preset can be applied on this route" in done.error["error"]["message"]

    def test_the_header_is_refused(self, admission: Admission, path: str) -> None:
        """A preset in the header counts too, also beside an upload."""
        headers = [(b"x-sampling-preset", b"chat"), (b"content-type", b"multipart/form-data")]

        assert 400 == Exchange(admission, b"--x", path=path, headers=headers).status

    def test_an_upload_is_not_read(self, admission: Admission, path: str) -> None:
        """An upload that can't name a preset passes as it is."""
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        done = Exchange(admission, b"--x preset", path=path, headers=headers)

        assert b"--x preset" == done.app.raw

    @pytest.mark.parametrize("body", [{"model": "m"}, b"not JSON", b"--x"])
    def test_a_promise_for_all_requests_closes_them(
        self, admission: Admission, catalogue: Catalogue, path: str, body: Any
    ) -> None:
        """A default preset and locks hold for every request, so none is let through without."""
        default = replace(admission, default=catalogue["chat"])
        locked = replace(admission, restrictions=Restrictions(locked={"*": Bounds()}))

        assert 400 == Exchange(default, body, path=path).status
        assert 400 == Exchange(locked, body, path=path).status


class TestWebSockets:
    """vLLM's realtime socket, which draws tokens from audio."""

    @staticmethod
    def opened(admission: Admission) -> tuple[bool, list[Message]]:
        """Returns whether the application saw the socket, and what was sent."""
        done = Exchange(admission, b"", path="/v1/realtime", type="websocket")
        return done.app.scope != {}, done.sent

    def test_it_opens_without_a_promise(self, admission: Admission) -> None:
        """A WebSocket opens as vLLM's where nothing is configured for all requests."""
        assert (True, []) == self.opened(admission)

    def test_a_default_closes_it(self, admission: Admission, catalogue: Catalogue) -> None:
        """A socket that can't keep a default preset doesn't open, and says why."""
        seen, sent = self.opened(replace(admission, default=catalogue["chat"]))

        assert not seen
        assert ["websocket.close"] == [message["type"] for message in sent]
        assert "no preset can be applied" in sent[0]["reason"]
