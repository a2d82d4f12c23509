"""The modes that an answer went through, added to the answer: `"preset_trace": true`.

They follow from the answer's tokens, so the engine isn't asked: vLLM is told to return the token
ids, and they are followed here.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from temperament.plan.follow import Follower, spans
from temperament.plan.machine import Machine
from temperament.plan.vocabulary import TokenBytes

FIELD = "preset_trace"
IDS = "return_token_ids"

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Trace:
    """What following an answer needs, and whether the client asked for the ids itself."""

    machine: Machine
    vocabulary: TokenBytes
    keeps_ids: bool


@dataclass
class _Text:
    prompt: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)


def report(trace: Trace, prompt: list[int], output: list[int]) -> dict[str, Any]:
    """The spans of an output by mode, and its switches, as JSON."""
    text = Follower(trace.machine)
    text.read_prompt(prompt)
    text.read(output)
    names, rules = trace.machine.switching.modes, trace.machine.switching.rules
    spelled = trace.vocabulary.spelled

    def written(first: int, end: int) -> str:
        known = (spelled[token] for token in output[first:end] if token < len(spelled))
        return b"".join(known).decode("utf-8", "replace")

    return {
        "spans": [
            {"mode": mode, "start": first, "end": end, "text": written(first, end)}
            for mode, first, end in spans(text)
        ],
        "switches": [
            {
                "token": switch.token,
                "from": names[switch.source],
                "to": names[switch.target],
                "on": str(rules[switch.rule].on),
            }
            for switch in text.switches
        ],
    }


def traced(send: Send, trace: Trace) -> Send:
    """`send`, with the trace in every choice: of one JSON answer, or of the stream's last chunk."""
    return _Answer(send, trace).send


class _Answer:
    """One answer on its way out."""

    def __init__(self, send: Send, trace: Trace) -> None:
        self._out = send
        self._trace = trace
        self._start: Message = {}
        self._streams = False
        self._rest = b""
        self._texts: dict[int, _Text] = {}
        # that of a chat, where it stands once for all choices
        self._prompt: list[int] = []

    async def send(self, message: Message) -> None:
        """One message of the application."""
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message.get("headers", [])}
            self._streams = headers.get(b"content-type", b"").startswith(b"text/event-stream")
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
            body = self._rewritten(self._rest)
            headers_ = [(k, v) for k, v in self._start.get("headers", [])
                        if k.lower() != b"content-length"]  # fmt: skip
            headers_.append((b"content-length", str(len(body)).encode()))
            await self._out({**self._start, "headers": headers_})
            await self._out({**message, "body": body})

    def _event(self, event: bytes) -> bytes:
        prefix = b"data: "
        if not event.startswith(prefix) or event == b"data: [DONE]":
            return event
        return prefix + self._rewritten(event.removeprefix(prefix))

    def _rewritten(self, raw: bytes) -> bytes:
        try:
            answer = json.loads(raw)
        except ValueError:
            return raw
        if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
            return raw
        self._prompt = answer.get("prompt_token_ids") or self._prompt
        for choice in answer["choices"]:
            self._add(choice)
        if not self._trace.keeps_ids:
            answer.pop("prompt_token_ids", None)
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()

    def _add(self, choice: dict[str, Any]) -> None:
        text = self._texts.setdefault(choice.get("index", 0), _Text())
        text.prompt = choice.get("prompt_token_ids") or text.prompt or self._prompt
        text.output += choice.get("token_ids") or []
        if choice.get("finish_reason") is not None:
            choice[FIELD] = report(self._trace, text.prompt, text.output)
        if not self._trace.keeps_ids:
            choice.pop("prompt_token_ids", None)
            choice.pop("token_ids", None)
