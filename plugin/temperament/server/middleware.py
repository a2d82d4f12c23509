"""The ASGI middleware: reads a request's body, lets `Admission` rewrite it, labels the answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from temperament.errors import TemperamentError
from temperament.interchange import sillytavern_request
from temperament.server.admission import Admission, Admitted
from temperament.server.endpoints import ENDPOINTS, Endpoint
from temperament.server.scan import LARGE
from temperament.server.selection import HEADER
from temperament.server.trace import traced

# Names what of a SillyTavern-style body isn't honoured.
WARNING = "x-sampling-warning"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class PresetMiddleware:
    """Lets a request name its preset. It stands inside vLLM's authentication.

    `admission` is called at each request: it returns None until the server has started.
    """

    def __init__(self, app: App, admission: Callable[[], Admission | None]) -> None:
        self.app = app
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            endpoint = ENDPOINTS.get(path.rstrip("/"))
        admission = self.admission()
        if endpoint is None or admission is None:
            await self.app(scope, receive, send)
            return
        raw = await _read(receive)
        if raw is None:  # the client has gone
            return
        try:
            admitted = _admit(raw, scope, endpoint, admission)
        except TemperamentError as error:
            await _refuse(error, endpoint, send)
            return
        answer = send
        if admitted is not None:
            raw = json.dumps(admitted.body).encode()
            headers = [(k, v) for k, v in scope["headers"] if k != b"content-length"]
            length = (b"content-length", str(len(raw)).encode())
            scope = {**scope, "headers": [*headers, length]}
            told = {HEADER: admitted.label, WARNING: admitted.warning}
            answer = _labelled(send, {name: text for name, text in told.items() if text})
            answer = answer if admitted.trace is None else traced(answer, admitted.trace)
        await self.app(scope, _replay(raw, receive), answer)


def _admit(raw: bytes, scope: Scope, endpoint: Endpoint, admission: Admission) -> Admitted | None:
    headers = [value for name, value in scope["headers"] if name == HEADER.encode()]
    if len(raw) > LARGE and not headers and not admission.may_concern(raw, endpoint):
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None  # vLLM has its own answer to a body that isn't JSON
    if not isinstance(body, dict):
        return None
    header = b", ".join(headers).decode("utf-8", "replace")  # as one line, if there are two
    text = unquote(header).strip() if headers else None
    if not sillytavern_request.is_request(body):
        return admission.admit(body, text, endpoint)
    body, notes = sillytavern_request.translate(body)
    admitted = admission.admit(body, text, endpoint)
    warning = sillytavern_request.header_text(notes)
    return None if admitted is None else replace(admitted, warning=warning)


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
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return replay


def _labelled(send: Send, told: Mapping[str, str]) -> Send:
    """`send`, with more headers in the answer."""
    if not told:
        return send

    async def labelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", [])]
            headers += [(name.encode(), text.encode()) for name, text in told.items()]
            message = {**message, "headers": headers}
        await send(message)

    return labelled


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
