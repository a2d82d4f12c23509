"""A server asked over HTTP: what it tells, what it can't tell, and what is refused."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from temperament import EngineError
from temperament.studio import remote
from temperament.studio.remote import Server
from tests.studio.known import PROBABILITIES, preset

BELOW = {"name": "below", "parameters": {}, "generation": {}, "order": []}


class Fake:
    """vLLM's answers for five words. `most` is its --max-logprobs, `shift` makes logits of them."""

    def __init__(self, most: int = -1, plugin: bool = True, shift: float = 0.0) -> None:
        self.most, self.plugin, self.shift = most, plugin, shift
        self.asked: list[tuple[str, Any]] = []
        self.below: dict[str, Any] = BELOW
        self.presets: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"null")
        path = request.url.path
        self.asked.append((path, body))
        if path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "m", "root": "/no/such/folder"}]})
        if path == "/v1/presets":
            told = {"default": None, "below": self.below, "data": self.presets}
            return httpx.Response(200, json=told) if self.plugin else httpx.Response(404)
        if path == "/tokenize":
            return httpx.Response(200, json={"tokens": [1, 2]})
        if path == "/detokenize":
            return httpx.Response(200, json={"prompt": " w" + str(body["tokens"][0])})
        if body.get("stream"):
            lines = "".join(f"data: {json.dumps(self.choice(t))}\n\n" for t in (3, 0))
            return httpx.Response(200, text=f"{lines}data: [DONE]\n\n")
        if self.most != -1 and not 0 <= body["logprobs"] <= self.most:
            return httpx.Response(400, json={"error": {"message": "too many logprobs"}})
        if body["logprobs"] == 0:
            return httpx.Response(200, json=self.choice(3))
        count = len(PROBABILITIES) if self.most == -1 else body["logprobs"]
        values = [math.log(p) + self.shift for p in PROBABILITIES[:count]]
        top = {f"token_id:{token}": value for token, value in enumerate(values)}
        # the drawn one is told too
        top["token_id:4"] = math.log(PROBABILITIES[4]) + self.shift
        return httpx.Response(200, json={"choices": [{"logprobs": {"top_logprobs": [top]}}]})

    def choice(self, token: int) -> dict[str, Any]:
        logprobs = {"tokens": [f"token_id:{token}"], "token_logprobs": [-0.5]}
        return {"choices": [{"text": "?", "logprobs": logprobs}]}


def on_server(fake: Callable[[httpx.Request], httpx.Response], work: Any) -> Any:
    """What `work` answers for the connected server."""

    async def run() -> Any:
        transport = httpx.MockTransport(fake)
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            return await work(await remote.connect(client))

    return asyncio.run(run())


def test_all_logits() -> None:
    """A server that tells all tokens tells log-probabilities, which hold all of the mass."""
    logits = on_server(Fake(), lambda server: server.logits([1, 2]))

    assert logits.row.exp().tolist() == pytest.approx(PROBABILITIES)
    assert (1.0, False) == (logits.seen, logits.absolute)


def test_raw_logits_are_recognised() -> None:
    """With --logprobs-mode raw_logits the numbers are no log-probabilities."""
    logits = on_server(Fake(shift=3.0), lambda server: server.logits([1, 2]))

    assert logits.absolute
    assert logits.row.softmax(-1).tolist() == pytest.approx(PROBABILITIES)


def test_raw_logits_of_some_tokens_say_nothing() -> None:
    """Their mass can't be known, so they are refused."""
    with pytest.raises(EngineError, match=r"--max-logprobs -1"):
        on_server(Fake(most=5, shift=3.0), lambda server: server.logits([1, 2]))


def test_the_most_likely_alone() -> None:
    """A server with a limit tells so many, and the mass that they hold; it is asked once more."""
    fake = Fake(most=1)

    async def work(server: Server) -> Any:
        return await server.logits([1, 2]), await server.logits([2, 1])

    first, second = on_server(fake, work)
    asked = [body["logprobs"] for path, body in fake.asked if path == "/v1/completions"]

    assert [0.4] == [pytest.approx(p) for p in first.row.exp().tolist() if p]
    assert first.seen == pytest.approx(0.4)
    assert second.seen == pytest.approx(0.4)
    assert [-1, 20, 5, 1, 1] == asked


def test_what_lies_below_is_undone() -> None:
    """The server's default must not act on the model's own distribution."""
    fake = Fake()
    fake.below = {**BELOW, "parameters": {"dry_multiplier": 0.8, "temperature": 0.3}}
    on_server(fake, lambda server: server.logits([1, 2]))
    body = fake.asked[-1][1]

    assert (0.0, 1.0, 1.0) == (body["dry_multiplier"], body["temperature"], body["top_p"])


def test_texts_are_asked_once() -> None:
    """Without a tokenizer at hand the server tells each token's text, readable."""
    fake = Fake()

    async def work(server: Server) -> Any:
        return [await server.texts([3, 4, 3]), await server.texts([4])]

    assert [["␣w3", "␣w4", "␣w3"], ["␣w4"]] == on_server(fake, work)
    assert 2 <= sum(path == "/detokenize" for path, _ in fake.asked) <= 3


def test_a_text_is_streamed() -> None:
    """Token by token, with what the server says of each."""

    async def work(server: Server) -> Any:
        tokens = server.generate([1], preset(top_k=2, typical_p=0.5), seed=7, max_tokens=2)
        return [(drawn.id, drawn.text, drawn.surprise) async for drawn in tokens]

    fake = Fake()
    assert [(3, " w3", 0.5), (0, " w0", 0.5)] == on_server(fake, work)
    body = next(body for path, body in fake.asked if path == "/v1/completions")
    assert (2, 0.5, 7, 2) == tuple(
        body[name] for name in ("top_k", "typical_p", "seed", "max_tokens")
    )


def test_a_preset_of_the_servers_is_named() -> None:
    """One that the server has goes by its name, another of that name by its values."""
    fake = Fake()
    fake.presets = [{**BELOW, "name": "mine", "parameters": {"top_k": 3}, "aliases": ["my"]}]

    async def work(server: Server) -> Any:
        assert server.presets is not None
        known = server.presets.resolve("my")
        await server.complete([1], known, seed=0, max_tokens=1)
        await server.complete([1], preset(top_k=4), seed=0, max_tokens=1)

    on_server(fake, work)
    named, said = (body for path, body in fake.asked if path == "/v1/completions")

    assert "mine" == named["preset"]
    assert "top_k" not in named
    assert 4 == said["top_k"]
    assert "preset" not in said


def test_a_server_without_our_plugin() -> None:
    """What vLLM has of its own is asked for; what it would drop in silence is refused."""

    async def own(server: Server) -> Any:
        return await server.complete([1], preset(top_p=0.5, top_k=3), seed=0, max_tokens=1)

    async def foreign(server: Server) -> Any:
        return await server.complete(
            [1], preset(typical_p=0.5, xtc_probability=0.5), seed=0, max_tokens=1
        )

    assert ([3], [0.5]) == on_server(Fake(plugin=False), own)
    with pytest.raises(EngineError, match="typical_p") as caught:
        on_server(Fake(plugin=False), foreign)
    assert ["typical_p", "xtc"] == [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(401, json={"error": "Unauthorized"}), "HTTP 401"),
        (httpx.Response(500, text="trouble"), "trouble"),
        (httpx.Response(400, json={"error": {"message": "why"}}), "why"),
    ],
)
def test_a_refusal_is_told(answer: httpx.Response, message: str) -> None:
    """What the server says against a request is the error's text."""
    with pytest.raises(EngineError, match=message):
        on_server(lambda request: answer, lambda server: server.logits([1]))
