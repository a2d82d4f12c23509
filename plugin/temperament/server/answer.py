"""Changes an answer while it is sent: one JSON object, or each object of a stream of events."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Change = Callable[[dict[str, Any]], None]

_DATA = b"data: "


def with_headers(send: Send, added: Mapping[str, str]) -> Send:
    """Returns `send` with headers added to the answer."""
    if not added:
        return send

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", [])]
            headers += [(name.encode(), text.encode()) for name, text in added.items()]
            message = {**message, "headers": headers}
        await send(message)

    return send_with_headers


def with_change(send: Send, change: Change) -> Send:
    """Returns `send` with `change` applied to every JSON object of the answer, in place.

    The objects are changed in the order in which they are sent. Everything else passes unchanged.
    """
    return _Answer(send, change).send


def rename_model(model: str) -> Change:
    """Returns a change that sets the model's name in the answer to `model`."""

    def change(answer: dict[str, Any]) -> None:
        # An event of /v1/responses or /v1/messages names the model in an inner object.
        for named in (answer, answer.get("response"), answer.get("message")):
            if isinstance(named, dict) and "model" in named:
                named["model"] = model

    return change


class _Answer:
    """Changes the messages of one answer."""

    def __init__(self, send: Send, change: Change) -> None:
        self._out = send
        self._change = change
        self._start: Message = {}
        self._streams = False
        self._rest = b""

    async def send(self, message: Message) -> None:
        """Sends one message of the application, or keeps it until the JSON object is complete."""
        if message["type"] == "http.response.start":
            received = {name.lower(): value for name, value in message.get("headers", [])}
            self._streams = received.get(b"content-type", b"").startswith(b"text/event-stream")
            self._start = message
            if self._streams:
                await self._out(message)
            return
        if message["type"] != "http.response.body":
            await self._out(message)
            return
        self._rest += message.get("body", b"")
        more = message.get("more_body", False)
        if self._streams:
            *events, self._rest = self._rest.split(b"\n\n")
            events += [] if more else [self._rest]
            body = b"\n\n".join(
                [*map(self._event, events), b""] if more else map(self._event, events)
            )
            await self._out({**message, "body": body})
        elif not more:
            body = self._object(self._rest)
            headers = [
                (name, value)
                for name, value in self._start.get("headers", [])
                if name.lower() != b"content-length"
            ]
            headers.append((b"content-length", str(len(body)).encode()))
            await self._out({**self._start, "headers": headers})
            await self._out({**message, "body": body})

    def _event(self, event: bytes) -> bytes:
        return b"\n".join(
            _DATA + self._object(line.removeprefix(_DATA)) if line.startswith(_DATA) else line
            for line in event.split(b"\n")
        )

    def _object(self, raw: bytes) -> bytes:
        try:
            answer = json.loads(raw)
        except ValueError:
            return raw
        if not isinstance(answer, dict):
            return raw
        self._change(answer)
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
