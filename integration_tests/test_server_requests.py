"""Streams, choices, logprobs, grammars and a request's fields work with any preset."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

import httpx
import pytest

from integration_tests.harness.ask import (
    CHAT,
    COMPLETIONS,
    ENDPOINTS,
    HEADER,
    MESSAGES,
    RESPONSES,
    ask,
    body,
)
from integration_tests.harness.server import Server

# Hot chains that are residual on a CPU.
RESIDUAL: dict[str, dict[str, Any]] = {
    "hot": {"preset": "creative", "temperature": 2.5, "top_k": 5},
    "cuts": {"preset": "creative", "min_p": 0.05, "top_p": 0.9},
    "another order": {
        "preset": "creative",
        "order": ["top_k", "top_p", "temperature"],
        "top_k": 10,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
    },
}
GREEDY = {"preset": "creative", "top_k": 1}
MESSAGE: list[Any] = [{"role": "user", "content": "Say a colour."}]


def streamed(server: Server, path: str, fields: dict[str, Any]) -> tuple[str | None, str]:
    """The label and the text of a streamed answer."""
    with httpx.stream(
        "POST", f"{server.url}{path}", json={**fields, "stream": True}, timeout=300
    ) as answer:
        assert 200 == answer.status_code, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if "data: {" in line]
    return answer.headers.get(HEADER), "".join(_piece(json.loads(line)) for line in lines)


def _piece(event: dict[str, Any]) -> str:
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    if event.get("type") == "content_block_delta":
        return str(event["delta"]["text"])
    for choice in event.get("choices", ()):
        return str(choice["text"] if "text" in choice else choice["delta"].get("content") or "")
    return ""


@pytest.mark.parametrize("path", ENDPOINTS)
class TestStreaming:
    """Streams on every endpoint."""

    @pytest.mark.parametrize("fields", [{"preset": "code"}, GREEDY], ids=["native", "residual"])
    def test_v1(self, v1_server: Server, path: str, fields: dict[str, Any]) -> None:
        """The pieces join to the text of the answer in one piece, and the label is the same."""
        answer = ask(v1_server, path, "smollm2", **fields)
        label, text = streamed(v1_server, path, {**body(path, "smollm2"), **fields})

        assert text == answer.text != ""
        assert label == answer.label is not None

    def test_v2(self, v2_server: Server, path: str) -> None:
        """On V2 too, the pieces of a stream join to the answer's text."""
        answer = ask(v2_server, path, "tiny", **GREEDY)
        label, text = streamed(v2_server, path, {**body(path, "tiny"), **GREEDY})

        assert (label, text) == (answer.label, answer.text)


class TestStockClient:
    """The openai client's own way with streams, choices and logprobs."""

    def test_a_stream(self, v1_server: Server) -> None:
        """Chunks arrive, and the last one has the finish reason."""
        stream = v1_server.client().chat.completions.create(
            model="smollm2:chat", messages=MESSAGE, max_tokens=6, stream=True,
            extra_body={"min_tokens": 2},  # else the text may end at once
        )  # fmt: skip
        chunks = [chunk.choices[0] for chunk in stream]

        assert "".join(chunk.delta.content or "" for chunk in chunks)
        assert chunks[-1].finish_reason in ("length", "stop")

    @pytest.mark.parametrize("preset", RESIDUAL)
    def test_several_choices(self, v1_server: Server, preset: str) -> None:
        """The n choices of a request differ."""
        answer = v1_server.client().chat.completions.create(
            model="smollm2", messages=MESSAGE, max_tokens=12, n=4, extra_body=RESIDUAL[preset]
        )

        texts = [choice.message.content for choice in answer.choices]
        assert 4 == len(texts)
        assert len(set(texts)) > 1

    def test_several_greedy_choices(self, v1_server: Server) -> None:
        """With top_k 1 the n choices are equal, since the chain runs on each."""
        answer = v1_server.client().completions.create(
            model="smollm2", prompt="The sea", max_tokens=6, n=3, extra_body=GREEDY
        )

        assert 1 == len({choice.text for choice in answer.choices})

    def test_several_choices_on_the_other_runner(self, v2_server: Server) -> None:
        """On V2 greedy choices are equal and hot ones differ."""
        for fields, number in (GREEDY, 1), (RESIDUAL["hot"], 3):
            answer = v2_server.client().completions.create(
                model="tiny", prompt="The sea", max_tokens=8, n=3, extra_body=fields
            )

            assert number == len({choice.text for choice in answer.choices})

    def test_logprobs(self, v1_server: Server) -> None:
        """As many logprobs come as the request wants; a removed token has -9999."""
        answer = v1_server.client().chat.completions.create(
            model="smollm2",
            messages=MESSAGE,
            max_tokens=3,
            logprobs=True,
            top_logprobs=4,
            extra_body={"preset": "creative", "top_k": 2},
        )

        logprobs = answer.choices[0].logprobs
        assert logprobs and logprobs.content
        for place in logprobs.content:
            values = [other.logprob for other in place.top_logprobs]
            assert [True, True, False, False] == [value > -9999 for value in values]


SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "bright": {"type": "boolean"}},
    "required": ["colour", "bright"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("preset", RESIDUAL)
class TestStructuredOutputs:
    """A grammar leaves few tokens, and the chain runs on these.

    On the V1 runner alone: V2's own grammar kernel doesn't run under Triton's interpreter.
    """

    def test_json(self, v1_server: Server, preset: str) -> None:
        """The text fits the schema. Cold, for the grammar allows spaces without end."""
        structured = {"temperature": 0.1, "structured_outputs": {"json": SCHEMA}}
        fields = {**RESIDUAL[preset], "max_tokens": 60, **structured}
        answer = json.loads(ask(v1_server, CHAT, "smollm2", **fields).text)

        assert {"colour", "bright"} == answer.keys()
        assert answer["colour"] in ("red", "green")

    def test_choice(self, v1_server: Server, preset: str) -> None:
        """The text is one of the choices."""
        structured = {"structured_outputs": {"choice": ["Paris", "Rome", "北京"]}}
        fields = {**RESIDUAL[preset], "max_tokens": 12, **structured}

        for _ in range(3):
            text = ask(v1_server, COMPLETIONS, "smollm2", **fields).text
            assert text in ("Paris", "Rome", "北京")

    def test_regex(self, v1_server: Server, preset: str) -> None:
        """The text matches the regular expression."""
        structured = {"structured_outputs": {"regex": "[0-9]{3}-[a-f]{2}"}}
        fields = {**RESIDUAL[preset], "max_tokens": 12, **structured}
        text = ask(v1_server, CHAT, "smollm2", **fields).text

        assert re.fullmatch("[0-9]{3}-[a-f]{2}", text)


def test_a_response_format(v1_server: Server) -> None:
    """A request with a preset may ask for a `response_format` with a JSON schema."""
    answer = v1_server.client().chat.completions.create(
        model="smollm2:creative",
        messages=MESSAGE,
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "colour", "schema": SCHEMA, "strict": True},
        },
        extra_body={"temperature": 0.1, "top_k": 3, "top_p": 0.9},
    )

    assert {"colour", "bright"} == json.loads(answer.choices[0].message.content or "").keys()


class TestTheRequestsOwnValues:
    """The request's values override the preset's, whatever they are."""

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_a_temperature_of_0_counts(self, v1_server: Server, path: str) -> None:
        """A temperature of 0 makes `creative` greedy."""
        greedy = ask(v1_server, path, "smollm2", temperature=0)
        answer = ask(v1_server, path, "smollm2", preset="creative", temperature=0)

        assert greedy.text == answer.text
        assert answer.label is not None

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_null_does_not(self, v1_server: Server, path: str) -> None:
        """Fields that are null leave the preset's values in force."""
        greedy = ask(v1_server, path, "smollm2", temperature=0)
        nulls = dict.fromkeys(("temperature", "top_p", "min_p", "order", "stop", "seed"))
        answer = ask(v1_server, path, "smollm2", preset="code", **nulls)

        assert (200, greedy.text) == (answer.status, answer.text)

    @pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES])
    def test_a_seed(self, v1_server: Server, path: str) -> None:
        """The same seed gives the same text, and another seed another text."""
        texts = [
            ask(v1_server, path, "smollm2", preset="creative", top_k=200, seed=seed).text
            for seed in (1, 1, 2)
        ]

        assert texts[0] == texts[1] != texts[2]

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_a_stop(self, v1_server: Server, path: str) -> None:
        """`stop` is understood on every endpoint, also where vLLM calls it `stop_sequences`."""
        text = ask(v1_server, path, "smollm2", preset="code").text
        last = text.split()[-1]
        stopped = ask(v1_server, path, "smollm2", preset="code", stop=last)

        assert text[: text.rindex(last)] == stopped.text

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_max_tokens(self, v1_server: Server, path: str) -> None:
        """`max_tokens` is understood on every endpoint, also on /v1/responses."""
        content = body(path, "smollm2:code")
        content.pop("max_output_tokens", None)
        content["max_tokens"] = 2
        with httpx.Client(base_url=v1_server.url, timeout=300) as client:
            usage = client.post(path, json=content).json()["usage"]

        assert 2 in (usage.get("completion_tokens"), usage.get("output_tokens"))

    def test_a_bias(self, v1_server: Server) -> None:
        """`logit_bias` works on /v1/messages, where vLLM has no such field."""
        answer = ask(v1_server, MESSAGES, "smollm2", preset="code", logit_bias={"260": 150})

        assert " the" * 4 == answer.text

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_a_schedule_in_a_large_body(self, v1_server: Server, path: str) -> None:
        """A schedule is found as the only field of the plugin in a body of more than 64 KiB.

        vLLM alone answers 400: it takes no temperature that is a map.
        """
        schedule = {"temperature": {"from": 0.001, "to": 0.002, "over": 4}}
        rest = {"metadata": {"user_id": "x" * 70_000}}
        scheduled = ask(v1_server, path, "smollm2", **schedule, **rest)

        assert 200 == scheduled.status, scheduled.json
        assert ask(v1_server, path, "smollm2", temperature=0).text == scheduled.text

    def test_the_engines_own_fields_go_along(self, v1_server: Server) -> None:
        """vLLM gets its fields as they are: `allowed_token_ids`, other `vllm_xargs`."""
        fields = {"allowed_token_ids": [260, 28], "vllm_xargs": {"preset": "chat", "other": 1}}
        answer = ask(v1_server, COMPLETIONS, "smollm2", top_p=0.5, **fields)

        assert 200 == answer.status
        assert set(re.findall(" the|,", answer.text)) and not re.sub(" the|,", "", answer.text)

    def test_echo_without_a_new_token(self, v1_server: Server) -> None:
        """`echo` with `max_tokens` 0 is allowed, as vLLM allows it."""
        answer = ask(v1_server, COMPLETIONS, "smollm2:chat", echo=True, max_tokens=0)

        assert (200, "Say a colour.") == (answer.status, answer.text)


class TestSeeds:
    """Requests with and without a seed."""

    # The processor draws every token, so texts are equal if their noise is.
    DRAWS: ClassVar = {"preset": {"temperature": 1.5, "reproducible": True}}

    def texts(self, server: Server, model: str, **fields: Any) -> list[str]:
        """The texts of four equal prompts in one request."""
        content = {"model": model, "prompt": ["The sea is"] * 4, "max_tokens": 8, **self.DRAWS}
        answer = httpx.post(f"{server.url}{COMPLETIONS}", json={**content, **fields}, timeout=300)
        return [choice["text"] for choice in answer.json()["choices"]]

    def check_without(self, server: Server, model: str) -> None:
        """All eight texts of two requests differ, also with the seed -1, which is none."""
        for fields in ({}, {"seed": -1}):
            texts = [*self.texts(server, model, **fields), *self.texts(server, model, **fields)]

            assert 8 == len(set(texts))

    def check_with(self, server: Server, model: str) -> None:
        """All eight texts of two requests are equal; two samples of a prompt differ."""
        texts = [*self.texts(server, model, seed=5), *self.texts(server, model, seed=5)]
        samples = self.texts(server, model, seed=5, n=2)

        assert 1 == len(set(texts))
        assert 2 == len(set(samples))

    def test_without_on_v1(self, v1_server: Server) -> None:
        """Without a seed equal prompts of one request have different texts, anew each time."""
        self.check_without(v1_server, "smollm2")

    def test_without_on_v2(self, v2_server: Server) -> None:
        """On the V2 runner too, equal prompts without a seed have different texts."""
        self.check_without(v2_server, "tiny")

    def test_with_on_v1(self, v1_server: Server) -> None:
        """With a seed equal prompts have equal texts, as in vLLM; samples (`n`) differ."""
        self.check_with(v1_server, "smollm2")

    def test_with_on_v2(self, v2_server: Server) -> None:
        """On the V2 runner too, a seed gives equal prompts equal texts."""
        self.check_with(v2_server, "tiny")
