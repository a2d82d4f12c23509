"""A request names its preset, in any of four ways, on any endpoint that draws tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from integration_tests.harness.ask import (
    CHAT,
    COMPLETIONS,
    ENDPOINTS,
    HEADER,
    MESSAGES,
    RESPONSES,
    WAYS,
    Answer,
    ask,
    body,
    naming,
    post,
    text_of,
)
from integration_tests.harness.server import Server
from temperament import Catalogue

PRESETS = ("code", "math", "data", "chat", "translation", "creative")
# After this the model doesn't end its text at once, whatever is drawn.
COUNTING = "One, two, three, four, five, six,"
ALIASES = {
    "代码生成": "code",
    "数学解题": "math",
    "数据抽取": "data",
    "通用对话": "chat",
    "翻译": "translation",
    "创意写作": "creative",
}


def label(name: str) -> str:
    """The label of a shipped preset: `name@digest`."""
    return Catalogue.load(environment=False)[name].label


def send(
    server: Server, path: str, plain: dict[str, Any], more: dict[str, Any], headers: dict[str, str]
) -> Answer:
    """Sends a request with the client that users have: the openai client, where there is one."""
    client = server.client()
    resources: dict[str, Any] = {
        CHAT: client.chat.completions,
        COMPLETIONS: client.completions,
        RESPONSES: client.responses,
    }
    if path not in resources:
        return post(server, path, {**plain, **more}, headers)
    raw = resources[path].with_raw_response.create(**plain, extra_body=more, extra_headers=headers)
    json = raw.http_response.json()
    return Answer(raw.http_response.status_code, raw.headers.get(HEADER), text_of(path, json), json)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("way", WAYS)
class TestWaysOfNaming:
    """Field, model suffix, header and `vllm_xargs`, on all four endpoints."""

    @pytest.mark.parametrize("preset", PRESETS)
    def test_each_preset(self, v1_server: Server, way: str, path: str, preset: str) -> None:
        """The request is answered, and the header has the preset's label."""
        more, headers = naming(way, preset, "smollm2")
        answer = send(v1_server, path, body(path, "smollm2", COUNTING), more, headers)

        assert (200, label(preset)) == (answer.status, answer.label)
        assert answer.text

    def test_on_the_other_runner(self, v2_server: Server, way: str, path: str) -> None:
        """The V2 runner's server answers the same requests."""
        more, headers = naming(way, "creative", "tiny")
        answer = send(v2_server, path, body(path, "tiny"), more, headers)

        assert (200, label("creative")) == (answer.status, answer.label)


class TestNames:
    """The names under which a preset is found."""

    @pytest.mark.parametrize(("alias", "name"), ALIASES.items())
    def test_chinese_aliases(self, v1_server: Server, alias: str, name: str) -> None:
        """A Chinese alias works in the body, and percent-encoded in the header."""
        for way in ("field", "header"):
            more, headers = naming(way, alias, "smollm2")
            answer = send(v1_server, CHAT, body(CHAT, "smollm2"), more, headers)

            assert (200, label(name)) == (answer.status, answer.label)

    def test_a_header_in_plain_utf_8(self, v1_server: Server) -> None:
        """A header in unescaped UTF-8 names the preset too."""
        header = {HEADER: "创意写作".encode()}
        answer = post(v1_server, CHAT, body(CHAT, "smollm2"), header)

        assert (200, label("creative")) == (answer.status, answer.label)

    @pytest.mark.parametrize("word", ["CREATIVE", " creative ", "Poetry", "ＣＲＥＡＴＩＶＥ"])
    def test_case_and_width_do_not_matter(self, v1_server: Server, word: str) -> None:
        """Upper case, spaces around and full-width letters name the same preset."""
        answer = ask(v1_server, COMPLETIONS, "smollm2", preset=word)

        assert (200, label("creative")) == (answer.status, answer.label)

    def test_ways_that_agree(self, v1_server: Server) -> None:
        """A request may name the preset in all four ways, by different aliases."""
        content = body(CHAT, "smollm2:creative")
        content |= {"preset": "poetry", "vllm_xargs": {"preset": "创意写作"}}
        answer = post(v1_server, CHAT, content, {HEADER: "writing"})

        assert (200, label("creative")) == (answer.status, answer.label)

    def test_the_answer_has_the_name_that_was_asked_for(self, v1_server: Server) -> None:
        """The answer names the model as the request did, with the preset as its suffix."""
        for path in ENDPOINTS:
            assert "smollm2:chat" == ask(v1_server, path, "smollm2:chat").json["model"]
            assert "smollm2" == ask(v1_server, path, "smollm2", preset="chat").json["model"]

    def test_batches_of_chats(self, v1_server: Server) -> None:
        """vLLM's batch endpoint accepts presets as the chat endpoint does."""
        chats = [[{"role": "user", "content": text}] for text in ("One.", "Two.")]
        content = {"model": "smollm2:creative", "messages": chats, "max_tokens": 4}
        forced = {"logit_bias": {"260": 150}}
        path = "/v1/chat/completions/batch"
        answer = post(v1_server, path, {**content, **forced})

        assert (200, label("creative")) == (answer.status, answer.label)
        texts = [choice["message"]["content"] for choice in answer.json["choices"]]
        assert [" the" * 4] * 2 == texts
        assert 400 == post(v1_server, path, {**content, "preset": "creativ"}).status

    def test_invocations(self, v1_server: Server) -> None:
        """SageMaker's endpoint accepts presets, for a chat and for a completion."""
        for path in (CHAT, COMPLETIONS):
            content = {**body(path, "smollm2:creative"), "logit_bias": {"260": 150}}
            answer = post(v1_server, "/invocations", content)

            assert (200, label("creative")) == (answer.status, answer.label)
            assert " the" * 4 == text_of(path, answer.json)
            assert 400 == post(v1_server, "/invocations", {**content, "preset": "nope"}).status


class TestRequestsWithoutAPreset:
    """Requests that name no preset."""

    @pytest.mark.parametrize("path", ENDPOINTS)
    @pytest.mark.parametrize(
        "fields", [{}, {"temperature": 0.5, "top_p": 0.9}, {"preset": None}], ids=str
    )
    def test_pass_untouched(self, v1_server: Server, path: str, fields: dict[str, Any]) -> None:
        """A request without a preset is answered without Temperament's header."""
        answer = ask(v1_server, path, "smollm2", **fields)

        assert (200, None) == (answer.status, answer.label)

    def test_beam_search(self, v1_server: Server) -> None:
        """Beam search without a preset is answered."""
        answer = ask(v1_server, CHAT, "smollm2", use_beam_search=True, n=2)

        assert (200, None) == (answer.status, answer.label)
        assert 2 == len(answer.json["choices"])

    def test_an_unknown_model(self, v1_server: Server) -> None:
        """A suffix is a preset only after the name of a served model; else vLLM answers 404."""
        answer = ask(v1_server, CHAT, "llama:creative")

        assert (404, None) == (answer.status, answer.label)
        assert "llama:creative" in answer.message

    def test_other_paths(self, v1_server: Server) -> None:
        """An endpoint that draws no tokens ignores the field `preset`."""
        content = {"model": "smollm2", "prompt": "One.", "preset": "none of these"}

        assert 200 == post(v1_server, "/tokenize", content).status


class TestAnthropicSpelling:
    """`/v1/messages`, of which vLLM knows three sampling fields."""

    def test_overrides_that_vllm_does_not_know_there(self, v1_server: Server) -> None:
        """min_p 1 makes `creative` greedy, a large bias forces a token."""
        greedy = ask(v1_server, MESSAGES, "smollm2", temperature=0).text

        for _ in range(3):
            assert greedy == ask(v1_server, MESSAGES, "smollm2:creative", min_p=1).text
        assert " the" * 4 == ask(v1_server, MESSAGES, "smollm2", logit_bias={"260": 150}).text

    def test_max_tokens_is_still_required(self, v1_server: Server) -> None:
        """vLLM answers 400 to a request without `max_tokens`, which no preset here sets."""
        content = body(MESSAGES, "smollm2:chat")
        del content["max_tokens"]
        answer = post(v1_server, MESSAGES, content)

        assert 400 == answer.status
        assert "max_tokens" in answer.message


class TestAuto:
    """`auto` picks the preset by what a request is; the header says which."""

    JSON: ClassVar[dict[str, Any]] = {
        "type": "json_schema",
        "name": "n",
        "schema": {"type": "object"},
    }
    FORMATS: ClassVar[dict[str, dict[str, Any]]] = {
        CHAT: {"response_format": {"type": "json_object"}},
        COMPLETIONS: {"structured_outputs": {"regex": "[a-z]+"}},
        RESPONSES: {"text": {"format": JSON}},
        MESSAGES: {"output_config": {"format": {"type": "json_schema", "schema": JSON["schema"]}}},
    }

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_a_format(self, v1_server: Server, path: str) -> None:
        """A format that a request asks for, on every endpoint, by name and by the suffix."""
        expected = f"auto>{label('data')}"

        assert expected == ask(v1_server, path, "smollm2:auto", **self.FORMATS[path]).label
        assert (
            expected == ask(v1_server, path, "smollm2", preset="auto", **self.FORMATS[path]).label
        )

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_nothing(self, v1_server: Server, path: str) -> None:
        """A request that says nothing for certain stays with the server's default."""
        assert label("auto") == ask(v1_server, path, "smollm2", preset="auto").label

    def test_thinking(self, v1_server: Server, smollm2_path: Path) -> None:
        """Thinking that a request switches on; `reasoning` has the model's own values."""
        reasoning = Catalogue.load(environment=False).for_model(smollm2_path)["reasoning"]
        thinking = {"chat_template_kwargs": {"enable_thinking": True}}
        answer = ask(v1_server, CHAT, "smollm2", preset="自动", **thinking)

        assert f"auto>{reasoning.label}" == answer.label


@pytest.mark.parametrize("path", ENDPOINTS)
def test_none(v1_server: Server, path: str) -> None:
    """`none` is sampled with nothing, and `default` at temperature 1."""
    for name in ("none", "default"):
        answer = ask(v1_server, path, f"smollm2:{name}")

        assert (200, label(name)) == (answer.status, answer.label)


@pytest.mark.parametrize(
    "fields", [{"temperature": "0.0"}, {"temperature": 0, "top_k": 40.0}, {"top_k": "1"}], ids=str
)
def test_spellings_of_numbers(v1_server: Server, fields: dict[str, Any]) -> None:
    """A preset beside them doesn't make vLLM's spellings of numbers wrong."""
    stock = ask(v1_server, CHAT, "smollm2", **fields)
    named = ask(v1_server, CHAT, "smollm2", preset="creative", **fields)

    assert (200, 200) == (stock.status, named.status)
    assert stock.text == named.text
