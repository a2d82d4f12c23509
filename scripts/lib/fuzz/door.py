"""The code under test: the middleware in front of an application, and the catalogue's loader."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from integration_tests.harness.hostile import VOCABULARY, File, Request
from prometheus_client import CollectorRegistry

from temperament.errors import TemperamentError
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, catalogue
from temperament.presets.model_facts import Facts
from temperament.presets.resolve import require_bound
from temperament.server.admission import Admission
from temperament.server.answer import Message, Send
from temperament.server.metrics import Metrics
from temperament.server.middleware import PresetMiddleware, Receive, Scope
from temperament.server.served import Served


@dataclass
class Outcome:
    """`passed`, `untouched` or `refused`; the body that passed."""

    kind: str
    body: dict[str, Any] | None = None


class Door:
    """The middleware before an application that takes everything."""

    def __init__(self) -> None:
        self.tokens = small_vocabulary()
        self.metrics = Metrics(CollectorRegistry())
        shipped = Catalogue.load(environment=False)
        self.admission = Admission(
            shipped.for_model(Facts("SmolLM2-135M-Instruct")),
            vocabulary=VOCABULARY.size,
            tokens=lambda: self.tokens,
            serves=lambda name: name == "m",
        )

    def ask(self, case: Request) -> Outcome:
        """Sends a request. Raises what the middleware raises."""
        return asyncio.run(self._ask(case))

    async def _ask(self, case: Request) -> Outcome:
        seen: list[bytes] = []
        sent: list[Message] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((await receive())["body"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        async def receive() -> Message:
            return {"type": "http.request", "body": case.raw, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": case.path, "headers": [*case.headers]}
        await PresetMiddleware(app, Served(self.admission), self.metrics)(scope, receive, send)
        if not seen:
            assert sent[0]["status"] == 400, sent
            answer = json.loads(sent[1]["body"])
            assert answer["error"]["message"], answer
            assert len(sent[1]["body"]) < 1_000_000, "a refusal of more than a megabyte"
            return Outcome("refused")
        if seen[0] is case.raw:
            return Outcome("untouched")
        body = json.loads(seen[0])
        assert "preset" not in body, body
        return Outcome("passed", body)


def small_vocabulary() -> TokenBytes:
    """Tokens of a few bytes; the last one ends a text."""
    random = Random(0)
    texts = [bytes(random.choices(b'ab\n `"</think>.', k=random.randint(1, 4))) for _ in range(511)]
    for place, text in enumerate(VOCABULARY.texts):
        texts[place] = text.encode()
    for byte in range(256):
        texts[200 + byte] = bytes([byte])
    return TokenBytes((*texts, b""), (511,), (), (("<end>", 511),))


def load(case: File, folder: Path) -> Outcome:
    """Loads a file as a catalogue does. Raises what the loader raises."""
    path = folder / case.name
    path.write_bytes(case.raw)
    try:
        loader = catalogue._Loader({}, ())
        loader.read(path)
        for preset in loader.finish().values():
            require_bound(preset)
    except TemperamentError as error:
        assert str(error)
        assert len(str(error)) < 1_000_000, "a refusal of more than a megabyte"
        return Outcome("refused")
    finally:
        path.unlink()
    return Outcome("passed")
