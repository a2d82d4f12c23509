"""A server asked over HTTP: what it returns, what it can't return, and what is refused."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from temperament import Catalogue, EngineError, Preset
from temperament.errors import Problem, TemperamentError
from temperament.studio import remote
from temperament.studio.remote import Server
from tests.studio.known import PROBABILITIES, preset

DEFAULTS = {"name": "below", "parameters": {}, "generation": {}, "order": []}
MODES: dict[str, Any] = {
    "modes": {"think": {"temperature": 0.6}, "answer": {"temperature": 0.9}},
    "start": "think",
    "switch": [{"from": ["think"], "on": {"tokens": 5}, "to": "answer"}],
}


class Fake:
    """vLLM's answers for five words.

    `most` is its --max-logprobs; `shift` is added to the logprobs, which makes logits of them.
    """

    def __init__(self, most: int = -1, plugin: bool = True, shift: float = 0.0) -> None:
        self.most, self.plugin, self.shift = most, plugin, shift
        self.requests: list[tuple[str, Any]] = []
        self.defaults: dict[str, Any] = DEFAULTS
        self.presets: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"null")
        path = request.url.path
        self.requests.append((path, body))
        if path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "m", "root": "/no/such/folder"}]})
        if path == "/v1/presets":
            listing = {"default": None, "below": self.defaults, "data": self.presets}
            return httpx.Response(200, json=listing) if self.plugin else httpx.Response(404)
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
        # vLLM adds the sampled token
        top["token_id:4"] = math.log(PROBABILITIES[4]) + self.shift
        return httpx.Response(200, json={"choices": [{"logprobs": {"top_logprobs": [top]}}]})

    def choice(self, token: int) -> dict[str, Any]:
        logprobs = {"tokens": [f"token_id:{token}"], "token_logprobs": [-0.5]}
        return {"choices": [{"text": "?", "logprobs": logprobs}]}

    @property
    def completions(self) -> list[Any]:
        """The bodies of the requests for completions."""
        return [body for path, body in self.requests if path == "/v1/completions"]


def on_server(fake: Callable[[httpx.Request], httpx.Response], work: Any) -> Any:
    """What `work` returns for the connected server."""

    async def run() -> Any:
        transport = httpx.MockTransport(fake)
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
            return await work(await remote.connect(client))

    return asyncio.run(run())


def completed(fake: Fake, chosen: Preset) -> Any:
    """The text of a completion with a preset, and the request's body."""
    text = on_server(fake, lambda server: server.complete([1], chosen, seed=7, max_tokens=1))
    return text, fake.completions[-1]


def refused(fake: Fake, chosen: Preset) -> list[Problem]:
    """The problems for which a preset isn't sent."""
    with pytest.raises(TemperamentError) as caught:
        completed(fake, chosen)
    assert [] == fake.completions
    return list(caught.value.problems)


class TestLogits:
    """`Server.logits`."""

    def test_a_server_that_returns_all_tokens_returns_logprobs(self) -> None:
        """The logprobs of all tokens hold all of the mass."""
        logits = on_server(Fake(), lambda server: server.logits([1, 2]))

        assert pytest.approx(PROBABILITIES) == logits.row.exp().tolist()
        assert (1.0, False) == (logits.seen, logits.absolute)

    def test_raw_logits_are_recognised(self) -> None:
        """With --logprobs-mode raw_logits the numbers sum to another mass than 1."""
        logits = on_server(Fake(shift=3.0), lambda server: server.logits([1, 2]))

        assert logits.absolute
        assert pytest.approx(PROBABILITIES) == logits.row.softmax(-1).tolist()

    def test_raw_logits_of_some_tokens_are_refused(self) -> None:
        """The mass of the tokens that are missing can't be known."""
        with pytest.raises(EngineError, match=r"--max-logprobs -1"):
            on_server(Fake(most=5, shift=3.0), lambda server: server.logits([1, 2]))

    def test_a_server_with_a_limit_returns_the_most_likely_tokens(self) -> None:
        """`seen` is their mass; the limit is searched for once."""
        fake = Fake(most=1)

        async def work(server: Server) -> Any:
            return await server.logits([1, 2]), await server.logits([2, 1])

        first, second = on_server(fake, work)

        assert [pytest.approx(0.4)] == [p for p in first.row.exp().tolist() if p]
        assert pytest.approx(0.4) == first.seen
        assert pytest.approx(0.4) == second.seen
        assert [-1, 20, 5, 1, 1] == [body["logprobs"] for body in fake.completions]

    def test_the_servers_defaults_are_undone(self) -> None:
        """A request for logits undoes the server's defaults, so they are the model's own."""
        fake = Fake()
        fake.defaults = {**DEFAULTS, "parameters": {"dry_multiplier": 0.8, "temperature": 0.3}}
        on_server(fake, lambda server: server.logits([1, 2]))
        body = fake.completions[-1]

        assert (0.0, 1.0, 1.0) == (body["dry_multiplier"], body["temperature"], body["top_p"])


class TestTexts:
    """`Server.texts` and `Server.generate`."""

    def test_each_token_is_asked_for_once(self) -> None:
        """Without a tokenizer on this machine the server gives each token's text."""
        fake = Fake()

        async def work(server: Server) -> Any:
            return [await server.texts([3, 4, 3]), await server.texts([4])]

        assert [["␣w3", "␣w4", "␣w3"], ["␣w4"]] == on_server(fake, work)
        assert 2 <= sum(path == "/detokenize" for path, _ in fake.requests) <= 3

    def test_a_text_is_streamed(self) -> None:
        """Each token comes with its text and its surprise."""

        async def work(server: Server) -> Any:
            tokens = server.generate([1], preset(top_k=2, typical_p=0.5), seed=7, max_tokens=2)
            return [(drawn.id, drawn.text, drawn.surprise) async for drawn in tokens]

        fake = Fake()
        assert [(3, " w3", 0.5), (0, " w0", 0.5)] == on_server(fake, work)
        body = fake.completions[0]
        names = ("top_k", "typical_p", "seed", "max_tokens")
        assert (2, 0.5, 7, 2) == tuple(body[name] for name in names)


class TestWithThePlugin:
    """Requests to a server that reads presets."""

    def test_a_preset_of_the_server_is_sent_by_name(self) -> None:
        """Another preset of that name is sent by its values."""
        fake = Fake()
        entry = {**DEFAULTS, "name": "mine", "parameters": {"top_k": 3}, "aliases": ["my"]}
        fake.presets = [entry]

        async def work(server: Server) -> Any:
            assert server.presets is not None
            known = server.presets.resolve("my")
            await server.complete([1], known, seed=0, max_tokens=1)
            await server.complete([1], preset(top_k=4), seed=0, max_tokens=1)

        on_server(fake, work)
        named, by_values = fake.completions

        assert "mine" == named["preset"]
        assert "top_k" not in named
        assert 4 == by_values["top_k"]
        assert "preset" not in by_values

    def test_modes_and_schedules_are_sent_whole(self) -> None:
        """The body has every mode, the start and the rules, and a schedule as a map."""
        schedule = {"from": 1.0, "to": 0.5, "over": 9, "curve": "linear"}
        _, body = completed(Fake(), preset(**MODES, top_p=schedule))

        assert MODES == {name: body[name] for name in MODES}
        assert body["top_p"] == schedule

    def test_an_unbound_preset_is_not_sent(self) -> None:
        """Its factors are no fields of a request: they would be dropped."""
        [problem] = refused(Fake(), Preset("warm", relative={"temperature": 1.2}))

        assert "the model must be known" in problem.message

    def test_a_preset_that_the_server_could_not_bind_is_left_out(self) -> None:
        """By its entry alone it would look like a preset that changes nothing."""
        fake = Fake()
        warm = {**DEFAULTS, "name": "warm", "aliases": ["w"], "unbound": "no such family"}
        fake.presets = [warm, {**DEFAULTS, "name": "mine", "aliases": ["m"]}]

        async def work(server: Server) -> Any:
            return server.presets

        presets = on_server(fake, work)

        assert ["mine"] == list(presets)
        assert {"m": "mine"} == dict(presets.aliases)

    @pytest.mark.parametrize("plugin", [True, False])
    def test_several_texts_of_one_request_are_refused(self, plugin: bool) -> None:
        """The studio reads one text; the others would be dropped."""
        problems = refused(Fake(plugin=plugin), preset(num_return_sequences=2))

        assert ["num_return_sequences"] == [problem.path for problem in problems]


class TestWithoutThePlugin:
    """Requests to vLLM alone, which ignores every field that it doesn't know."""

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}),
            ({"top_p": 1.0}, {"top_p": 1.0}),
            ({"do_sample": False}, {"temperature": 0.0}),
            ({"do_sample": False, "top_p": 0.9}, {"temperature": 0.0, "top_p": 1.0}),
            ({"logit_bias": {5: -1.5}}, {"logit_bias": {"5": -1.5}}),
            ({"stop": ["END"]}, {"stop": ["END"]}),
            ({"eos_token_id": [7]}, {"stop_token_ids": [7], "ignore_eos": True}),
            ({"seed": 3, "max_tokens": 9, "num_beams": 1}, {}),
            ({"repetition_range": 0, "typical_p": 1.0}, {}),
        ],
        ids=str,
    )
    def test_what_vllm_does_natively_is_sent(
        self, values: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        """The fields that the preset names, under vLLM's names; the caller's seed and limit."""
        always = {
            "model": "m", "prompt": [1], "seed": 7, "max_tokens": 1, "logprobs": 0,
            "return_tokens_as_token_ids": True,
        }  # fmt: skip
        text, body = completed(Fake(plugin=False), preset(**values))

        assert ([3], [0.5]) == text
        assert {**always, **expected} == body

    def test_modes_with_the_same_chain_are_one_chain(self) -> None:
        """Nothing is lost without the modes: both sample alike."""
        rule = {"from": "one", "on": {"tokens": 5}, "to": "other"}
        modes = {"one": {"top_p": 0.9}, "other": {"top_p": 0.9}}
        chosen = preset(top_k=3, modes=modes, start="one", switch=[rule])
        _, body = completed(Fake(plugin=False), chosen)

        assert (0.9, 3) == (body["top_p"], body["top_k"])
        assert not {"modes", "start", "switch"} & body.keys()

    @pytest.mark.parametrize(
        ("values", "paths"),
        [
            ({"typical_p": 0.5, "xtc_probability": 0.5}, ["typical_p", "xtc"]),
            (MODES, ["modes", "temperature"]),
            ({**MODES, "typical_p": 0.5}, ["modes", "temperature", "typical_p"]),
            ({"temperature": {"from": 1, "to": 0.5, "over": 9}}, ["temperature"]),
            ({"top_p": 0.5, "min_p": 0.1, "order": ["top_p", "min_p"]}, ["top_p", "min_p"]),
            ({"temperature": 3}, ["temperature"]),
            ({"reproducible": True}, ["reproducible"]),
            ({"num_beams": 4, "min_length": 3}, ["min_length", "num_beams"]),
            ({"typical_p": 0.5, "guidance_scale": 1.5}, ["typical_p", "guidance_scale"]),
        ],
        ids=str,
    )
    def test_everything_else_is_refused_with_the_reason(
        self, values: dict[str, Any], paths: list[str]
    ) -> None:
        """Every part that vLLM can't do is a problem of its own, and no request is sent."""
        problems = refused(Fake(plugin=False), preset(**values))

        assert [problem.path for problem in problems] == paths
        assert all("can't do it: " in problem.message for problem in problems)

    @pytest.mark.parametrize("name", Catalogue.load(environment=False))
    def test_a_shipped_preset_is_sent_whole_or_refused(self, name: str) -> None:
        """A request has every field of the preset, or there is no request."""
        chosen = Catalogue.load(environment=False)[name]
        fake = Fake(plugin=False)
        try:
            _, body = completed(fake, chosen)
        except TemperamentError:
            assert [] == fake.completions
        else:
            assert body.items() >= chosen.drawn.values.items()
            assert not chosen.modes


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(401, json={"error": "Unauthorized"}), "HTTP 401"),
        (httpx.Response(500, text="trouble"), "trouble"),
        (httpx.Response(400, json={"error": {"message": "why"}}), "why"),
    ],
)
def test_a_refusal_of_the_server_is_reported(answer: httpx.Response, message: str) -> None:
    """The server's message is the error's."""
    with pytest.raises(EngineError, match=message):
        on_server(lambda request: answer, lambda server: server.logits([1]))
