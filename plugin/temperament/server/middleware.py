"""The ASGI middleware: it lets `Admission` rewrite a request's body, and labels the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote

from temperament.errors import Problem, RequestError, TemperamentError
from temperament.interchange import sillytavern_request
from temperament.presets.groups import in_groups
from temperament.server import refusals
from temperament.server.admission import Admission, Admitted
from temperament.server.answer import Message, Send, rename_model, with_change, with_headers
from temperament.server.endpoints import ENDPOINTS, WEB_SOCKETS, Endpoint
from temperament.server.metrics import FIELDS, NONE, Metrics
from temperament.server.planning import TakesLong
from temperament.server.scan import LARGE_BYTES, parse
from temperament.server.selection import FIELD, HEADER, SEPARATOR
from temperament.server.served import Served
from temperament.server.trace import add_trace

# The header that lists the fields of a SillyTavern body that have no effect.
WARNING = "x-sampling-warning"
MODELS = "/v1/models"
SURROGATE = b"\\ud"  # how JSON escapes half of a character beyond the BMP
POLICY = 1008  # a web socket's code for a message that a policy forbids
MAX_REASON = 120  # bytes; a close frame has room for 123
LONE = "half of a character (a surrogate without its other half)"

Scope = Message
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class PresetMiddleware:
    """Lets a request name its preset. vLLM authenticates the request first.

    Until the server has started, every request passes unchanged.
    """

    def __init__(self, app: App, served: Served, metrics: Metrics) -> None:
        self.app = app
        self.served = served
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        admission = self.served.admission
        if scope["type"] == "lifespan" or admission is None:
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/")
        if scope["type"] == "websocket":
            if path in WEB_SOCKETS and admission.handles_all:
                await _close(receive, send, refusals.unsupported(WEB_SOCKETS[path]))
            else:
                await self.app(scope, receive, send)
            return
        if scope["method"] == "GET" and path == MODELS and admission.advertise:
            await self.app(
                scope, receive, with_change(send, partial(advertise, admission=admission))
            )
            return
        endpoint = ENDPOINTS.get(path) if scope["method"] == "POST" else None
        if endpoint is None or _carries_none(scope, endpoint, admission):
            await self.app(scope, receive, send)
            return
        raw = await _read(receive)
        if raw is None:  # the client has disconnected
            return
        try:
            admitted = await _admit(raw, scope, endpoint, admission)
            content = None if admitted is None else _encode(admitted.body)
        except TemperamentError as error:
            self.metrics.refusal(error.problems)
            await _refuse(error, endpoint, send)
            return
        if admitted is None or content is None:
            self.metrics.request(NONE)
            await self.app(scope, _replay(raw, receive), send)
            return
        self.metrics.request((admitted.label or FIELDS).partition("@")[0])
        headers = [(k, v) for k, v in scope["headers"] if k != b"content-length"]
        length = (b"content-length", str(len(content)).encode())
        scope = {**scope, "headers": [*headers, length]}
        await self.app(scope, _replay(content, receive), _answer(send, admitted))


def _answer(send: Send, admitted: Admitted) -> Send:
    """Returns `send` with the headers, the model's name and the trace of an admitted request."""
    headers = {HEADER: admitted.label, WARNING: admitted.warning}
    send = with_headers(send, {name: text for name, text in headers.items() if text})
    if admitted.model:
        send = with_change(send, rename_model(admitted.model))
    return send if admitted.trace is None else with_change(send, add_trace(admitted.trace))


def advertise(answer: dict[str, Any], admission: Admission) -> None:
    """Adds MODEL:PRESET to the list of models, for every preset that a request can name.

    The examples are left out: a request can name them, but they are no choice for a menu.
    """
    models = answer.get("data")
    if not isinstance(models, list):
        return
    names = [
        preset.name
        for group, presets in in_groups(admission.offered)
        for preset in presets
        if group.advertised and not preset.unbound
    ]
    models += [
        {**model, "id": f"{model['id']}{SEPARATOR}{name}", "parent": model["id"]}
        for model in list(models)
        for name in names
    ]


def _header(scope: Scope, name: str) -> list[bytes]:
    """Returns every value of a header."""
    return [value for key, value in scope["headers"] if key == name.encode()]


def _carries_none(scope: Scope, endpoint: Endpoint, admission: Admission) -> bool:
    """Whether a request to an unsupported route can't name a preset: an upload isn't JSON."""
    upload = any(b"multipart/" in value for value in _header(scope, "content-type"))
    named = bool(_header(scope, HEADER))
    return bool(endpoint.unsupported) and upload and not (named or admission.handles_all)


async def _close(receive: Receive, send: Send, problem: Problem) -> None:
    """Refuses a web socket before it opens: the client sees HTTP 403, and the log the reason."""
    await receive()
    await send({"type": "websocket.close", "code": POLICY, "reason": str(problem)[:MAX_REASON]})


async def _admit(
    raw: bytes, scope: Scope, endpoint: Endpoint, admission: Admission
) -> Admitted | None:
    headers = _header(scope, HEADER)
    if endpoint.unsupported and (headers or admission.handles_all):
        raise RequestError(refusals.unsupported(endpoint.unsupported))
    if len(raw) > LARGE_BYTES and not headers and not admission.may_change(raw, endpoint):
        return None
    try:
        body = parse(raw)
    except TemperamentError:
        raise
    except RecursionError:
        problem = Problem("request", "", "the body is nested too deeply", allowed="fewer levels")
        raise RequestError(problem) from None
    except ValueError:
        return None  # vLLM refuses a body that isn't JSON
    if not isinstance(body, dict):
        return None
    header = b", ".join(headers).decode("utf-8", "replace")  # as one line, if there are two
    text = unquote(header).strip() if headers else None
    if not sillytavern_request.is_request(body):
        return await _admit_body(body, text, endpoint, admission)
    translated, notes = sillytavern_request.translate(body)
    admitted = await _admit_body(translated, text, endpoint, admission)
    if admitted is None:  # vLLM reads all of the fields, some of them by other names
        if all(body.get(name) == value for name, value in translated.items()):
            return None
        admitted = Admitted({**body, **translated}, None)
    warnings = filter(None, (admitted.warning, sillytavern_request.header_text(notes)))
    return replace(admitted, warning="; ".join(warnings))


async def _admit_body(
    body: dict[str, Any], header: str | None, endpoint: Endpoint, admission: Admission
) -> Admitted | None:
    """Admits a request, in a thread if that may take long: other requests go on meanwhile."""
    # A preset that a request brings may be large.
    if not any(isinstance(body.get(name), dict) for name in (FIELD, "modes")):
        with suppress(TakesLong):
            return admission.admit(body, header, endpoint, at_once=True)
    return await asyncio.to_thread(admission.admit, body, header, endpoint)


def _encode(body: dict[str, Any]) -> bytes:
    """Returns the body as JSON. Raises `RequestError` for a text that UTF-8 can't encode.

    vLLM answers 500 to such a text in `stop` or `vllm_xargs`, which it sends to its engine.
    """
    raw = json.dumps(body).encode()
    if SURROGATE in raw:  # usually one of a pair, which UTF-8 can encode
        problems = [
            Problem("request", name, LONE, allowed="text that UTF-8 can encode")
            for name, value in body.items()
            if not _encodable({name: value})
        ]
        if problems:
            raise RequestError(problems)
    return raw


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


async def _read(receive: Receive) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(raw: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return replay


async def _refuse(error: TemperamentError, endpoint: Endpoint, send: Send) -> None:
    content: dict[str, Any]
    if endpoint.anthropic:
        content = {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": str(error)},
        }
    else:
        content = {
            "error": {
                "message": str(error),
                "type": "BadRequestError",
                "param": error.problems[0].path or None,
                "code": 400,
            }
        }
    raw = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(raw)).encode()),
    ]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
