"""vLLM's features beside presets: modes switch and stages follow the history all the same.

docs/vllm-features.md has a row for each feature. What is drawn is forced, so that every answer
shows whether the preset acted: a preset with modes writes three times A, then B; one with a history
writes letters of which none occurs twice, in prompt and text together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaForCausalLM

from integration_tests.harness.ask import CHAT, COMPLETIONS, Answer, post
from integration_tests.harness.models import model_path
from integration_tests.harness.offline import distributions
from integration_tests.harness.server import ON_SHARED_CORES, Runner, Server

KINDS = ("modes", "history")
LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class Served:
    """A server, its model's name and its tokenizer."""

    server: Server
    model: str
    tokenizer: Any

    @property
    def letters(self) -> dict[str, int]:
        """The token of each letter."""
        return {letter: self.tokenizer.convert_tokens_to_ids(letter) for letter in LETTERS}

    def preset(self, kind: str) -> dict[str, Any]:
        """The preset of a kind, as the fields of a request."""
        letters = self.letters
        if kind == "history":
            return {
                "allowed_token_ids": list(letters.values()),
                "no_repeat_ngram_size": 1,
                "temperature": 1.5,
            }
        return {
            "preset": {
                "modes": {
                    "first": {"logit_bias": {str(letters["A"]): 100}},
                    "second": {"logit_bias": {str(letters["B"]): 100}},
                },
                "switch": [{"from": "first", "on": {"tokens": 3}, "to": "second"}],
            }
        }

    def complete(self, kind: str, prompt: Any = "Q", length: int = 6, **fields: Any) -> Answer:
        """The answer to a request for a completion with the preset of a kind."""
        fixed = {"model": self.model, "prompt": prompt, "max_tokens": length, "ignore_eos": True}
        return post(self.server, COMPLETIONS, {**fixed, **self.preset(kind), **fields})


def shows(kind: str, text: str, without: str = "") -> bool:
    """Whether a text is one that the preset of a kind writes, without letters of the prompt."""
    if kind == "modes":
        return text == "AAABBB"[: len(text)]
    return len(set(text)) == len(text) > 0 and set(text) <= set(LETTERS) - set(without)


def several_samples(served: Served, kind: str) -> None:
    """`n`: each sample has modes and a history of its own."""
    answer = served.complete(kind, n=8, seed=1)

    assert [True] * 8 == [shows(kind, choice["text"]) for choice in answer.json["choices"]]


def echo(served: Served, kind: str) -> None:
    """`echo`: the prompt stands before the text, and counts as prompt."""
    text = served.complete(kind, "C:", 5, echo=True).text

    assert text.startswith("C:")
    assert shows(kind, text[2:], without="C")


def prompt_logprobs(served: Served, kind: str) -> None:
    """`prompt_logprobs`: the prompt's are the model's own, those of the text the preset's."""
    own, plain = (
        post(
            served.server, COMPLETIONS, {**fixed, "model": served.model, "prompt": "One two three"}
        )
        for fixed in (
            {**served.preset(kind), "prompt_logprobs": 1, "max_tokens": 6, "ignore_eos": True},
            {"prompt_logprobs": 1, "max_tokens": 1, "temperature": 1},
        )
    )

    assert shows(kind, own.text)
    assert plain.json["choices"][0]["prompt_logprobs"] == own.json["choices"][0]["prompt_logprobs"]


def stop_with_min_tokens(served: Served, kind: str) -> None:
    """`stop` with `min_tokens`: what would stop the text counts once it has so many tokens."""
    answer = served.complete(kind, length=8, stop=["B", "D", "F", "H"], min_tokens=4, seed=1)

    assert shows(kind, answer.text)
    assert 4 <= len(answer.text)
    assert set(answer.text[4:]).isdisjoint("BDFH")
    if kind == "modes":
        assert ("AAAB", "stop") == (answer.text, answer.json["choices"][0]["finish_reason"])


def prefix_caching(served: Served, kind: str) -> None:
    """A prompt that is cached counts as one that isn't."""
    prompt = [served.letters["C"], *served.tokenizer.encode(" of", add_special_tokens=False) * 400]
    first = served.complete(kind, prompt)
    before = hits(served.server)
    second = served.complete(kind, prompt)

    assert before < hits(served.server)
    assert [True, True] == [shows(kind, one.text, without="C") for one in (first, second)]


def hits(server: Server) -> float:
    """How many tokens of prompts came from the cache so far."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    name = "vllm:prefix_cache_hits_total"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def cached_thought(served: Served, kind: str) -> None:
    """`start: auto` reads an open block of thinking in a prompt that comes from the cache."""
    letters = served.letters
    preset = served.preset(kind)
    if kind == "modes":
        preset = {
            "preset": {
                "modes": {
                    "answer": {"logit_bias": {str(letters["B"]): 100}},
                    "think": {"logit_bias": {str(letters["A"]): 100}},
                },
                "switch": [{"from": "answer", "on": {"text": "<think>"}, "to": "think"}],
                "start": "auto",
            }
        }
    content = {"model": served.model, "prompt": "<think>" + " so" * 200, "max_tokens": 3}
    first = post(served.server, COMPLETIONS, {**content, **preset}).text
    before = hits(served.server)
    second = post(served.server, COMPLETIONS, {**content, **preset}).text

    assert before < hits(served.server)
    for text in (first, second):
        assert text == "AAA" if kind == "modes" else shows(kind, text)


def abort(served: Served, kind: str) -> None:
    """A stream that is left inside a mode leaves nothing behind for the requests after it."""
    content = {"model": served.model, "prompt": "Q", "max_tokens": 200, "ignore_eos": True}
    content |= {"preset": {"logit_bias": {str(served.letters["A"]): 100}}}
    if kind == "modes":
        content |= served.preset(kind)
    with httpx.stream(
        "POST", f"{served.server.url}{COMPLETIONS}", json={**content, "stream": True}, timeout=300
    ) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: {"))
        begun = "".join(json.loads(next(lines)[6:])["choices"][0]["text"] for _ in range(4))

    assert begun.startswith("AAA")
    assert shows(kind, served.complete(kind).text)


def structured_outputs(served: Served, kind: str) -> None:
    """A grammar: of the tokens that it allows, the preset draws."""
    answer = served.complete(kind, structured_outputs={"regex": "[A-H]{6}"})

    assert 6 == len(answer.text)
    assert shows(kind, answer.text)


def forbidden_by_the_mode(served: Served, kind: str) -> None:
    """A grammar that allows only what the preset forbids: what is written is in the grammar."""
    forbids = {"suppress_tokens": list(served.letters.values())}
    preset: dict[str, Any] = {"preset": forbids}
    if kind == "modes":
        preset = served.preset(kind)
        for mode in preset["preset"]["modes"].values():
            mode.update(forbids)
    content = {"model": served.model, "prompt": "Q", "max_tokens": 4, **preset}
    grammar = {"structured_outputs": {"choice": ["A", "B"]}}
    answer = post(served.server, COMPLETIONS, {**content, **grammar})

    assert 200 == answer.status
    assert answer.text in ("A", "B")


def beam_search(served: Served, kind: str) -> None:
    """Beam search doesn't sample, so a preset beside it is refused."""
    answer = served.complete(kind, use_beam_search=True)

    assert 400 == answer.status
    assert "use_beam_search: beam search doesn't sample" in answer.message


FEATURES = [
    several_samples,
    echo,
    prompt_logprobs,
    stop_with_min_tokens,
    prefix_caching,
    cached_thought,
    abort,
    structured_outputs,
    forbidden_by_the_mode,
    beam_search,
]
Feature = Callable[[Served, str], None]


@cache
def tokenizer_of(name: str) -> Any:
    """The tokenizer of a model of the harness."""
    return AutoTokenizer.from_pretrained(model_path(name))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature", FEATURES)
def test_on_v1(v1_server: Server, feature: Feature, kind: str) -> None:
    """The feature works with the preset on the V1 runner."""
    feature(Served(v1_server, "smollm2", tokenizer_of("smollm2")), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature", FEATURES[:-1])
def test_on_v2(v2_server: Server, feature: Feature, kind: str) -> None:
    """The same on the V2 runner, but for beam search."""
    feature(Served(v2_server, "tiny", tokenizer_of("tiny")), kind)


# The marks of the reasoning parser's format, each one token of the model.
MARKS = ("<think>", "</think>")
# What a request says of its tools, by the choice.
CALL = r'<tool_call>\{"name": "f", "arguments": \{"x": "[AB]"\}\}</tool_call>'
CHOICES: dict[str, dict[str, Any]] = {
    "named": {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    "required": {"tool_choice": "required"},
    "auto": {"tool_choice": "auto", "structured_outputs": {"regex": CALL}},
}
LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "peft_type": "LORA"}


def make_model(folder: Path) -> None:
    """Writes the tiny model with a token for each of the `MARKS`, and two adapters beside it.

    The second adapts the head, for a vocabulary that lacks the model's last eight tokens.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny"))
    tokenizer.add_tokens(list(MARKS))
    model = LlamaForCausalLM.from_pretrained(model_path("tiny"))
    torch.manual_seed(0)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    adapter, width = folder / "poet", model.config.hidden_size
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps(LORA))
    names = [f"base_model.model.model.layers.{n}.self_attn.q_proj" for n in range(2)]
    tensors = {f"{name}.lora_A.weight": torch.randn(8, width) for name in names}
    tensors |= {f"{name}.lora_B.weight": torch.randn(width, 8) for name in names}
    save_file(tensors, adapter / "adapter_model.safetensors")
    narrow = folder / "narrow"
    narrow.mkdir()
    targets = {"target_modules": ["q_proj", "lm_head"]}
    (narrow / "adapter_config.json").write_text(json.dumps(LORA | targets))
    tensors["base_model.model.lm_head.lora_A.weight"] = torch.randn(8, width)
    tensors["base_model.model.lm_head.lora_B.weight"] = torch.randn(len(tokenizer) - 8, 8) / 20
    save_file(tensors, narrow / "adapter_model.safetensors")


PARSERS = [
    *("--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "1024"),
    *("--reasoning-parser", "deepseek_r1"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    *("--max-num-batched-tokens", "64", "--max-num-seqs", "8"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with marks, and its adapter."""
    folder = tmp_path_factory.mktemp("features")
    make_model(folder)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """A server with both kinds of parsers, an adapter, and prompts read in parts."""
    adapters = [f"{name}={folder / name}" for name in ("poet", "narrow")]
    args = [*PARSERS, "--enable-lora", "--lora-modules", *adapters]
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    with Server(folder / "model", "v1", args, env=ON_SHARED_CORES) as server:
        yield Served(server, "tiny", tokenizer)


@pytest.fixture(scope="module")
def served_v2(folder: Path) -> Iterator[Served]:
    """The same on the V2 runner, without the adapter."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    with Server(folder / "model", "v2", PARSERS, env=ON_SHARED_CORES) as server:
        yield Served(server, "tiny", tokenizer)


class TestWithArgumentsOfTheStart:
    """Features that a server is started with."""

    def chat(self, served: Served, preset: dict[str, Any], **fields: Any) -> Answer:
        """The answer to a chat whose prompt ends in an open block of thinking."""
        messages = [{"role": "user", "content": "<think>"}]
        fixed = {"model": "tiny", "messages": messages, "max_tokens": 7, "ignore_eos": True}
        return post(served.server, CHAT, {**fixed, **preset, **fields})

    def thinking(self, served: Served, kind: str) -> dict[str, Any]:
        """A preset that thinks in As and answers in Bs, or writes all tokens once."""
        letters = served.letters
        end = served.tokenizer.convert_tokens_to_ids("</think>")
        if kind == "history":
            some = [letters[letter] for letter in "ABCDEF"]
            return {"allowed_token_ids": [*some, end], "no_repeat_ngram_size": 1}
        biases = {"think": letters["A"], "close": end, "answer": letters["B"]}
        return {
            "preset": {
                "modes": {
                    name: {"logit_bias": {str(token): 100}} for name, token in biases.items()
                },
                "switch": [
                    {"from": "think", "on": {"tokens": 3}, "to": "close"},
                    {"from": ["think", "close"], "on": {"token": end}, "to": "answer"},
                ],
            }
        }

    @pytest.mark.parametrize("kind", KINDS)
    def test_reasoning_parser(self, served: Served, kind: str) -> None:
        """Thinking and answer are separated, and the preset is in force in both."""
        answer = self.chat(served, self.thinking(served, kind))
        message = answer.json["choices"][0]["message"]
        parts = [message["reasoning"] or "", message["content"] or ""]

        if kind == "modes":
            assert ["AAA", "BBB"] == parts
        else:
            assert shows(kind, "".join(parts))
            assert 6 == len("".join(parts))

    @pytest.mark.parametrize("kind", KINDS)
    def test_include_reasoning(self, served: Served, kind: str) -> None:
        """Thinking that is left out of the answer was written by the preset all the same."""
        fixed = self.thinking(served, kind)
        answer = self.chat(served, {**fixed, "seed": 3}, include_reasoning=False)
        whole = self.chat(served, {**fixed, "seed": 3})
        message = answer.json["choices"][0]["message"]

        assert not message.get("reasoning")
        assert whole.json["choices"][0]["message"]["content"] == message["content"]

    @pytest.mark.parametrize("kind", KINDS)
    def test_thinking_budget(self, served: Served, kind: str) -> None:
        """vLLM ends thinking that is too long, and the preset goes on from there.

        The prompt's tokens after its mark count, so the first token of the answer is the end.
        """
        answer = self.chat(served, self.thinking(served, kind), thinking_token_budget=1)
        message = answer.json["choices"][0]["message"]

        assert not message["reasoning"]
        if kind == "modes":
            assert "BBBBBB" == message["content"]
        else:
            assert shows(kind, message["content"])

    def calling(self, served: Served, kind: str) -> dict[str, Any]:
        """A preset that thinks in As, and prefers A in the call, but for the mode or the history.

        Between them it prefers the end to another call, and the characters of JSON to white space,
        which the grammars allow too.
        """
        ids, letters = served.tokenizer.convert_tokens_to_ids, served.letters
        end, json_characters = ids("</think>"), ids(list('{}":<x'))
        if kind == "history":
            biases = {letters["A"]: 100, end: 90, letters["B"]: 60}
            biases |= {**dict.fromkeys(json_characters, 40), served.tokenizer.eos_token_id: 50}
            return {"preset": {"logit_bias": biases, "repetition_penalty": 2}}
        preset = self.thinking(served, kind)
        answer = preset["preset"]["modes"]["answer"]["logit_bias"]
        answer |= {**dict.fromkeys(json_characters, 50), str(served.tokenizer.eos_token_id): 60}
        return preset

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("choice", CHOICES)
    def test_tools(self, served: Served, choice: str, kind: str) -> None:
        """The preset draws what the call's grammar leaves open, and the parser reads the call.

        Under `auto` vLLM lets a model call or not, so here the request has a grammar of its own.
        """
        parameters = {
            "type": "object",
            "properties": {"x": {"type": "string", "enum": ["A", "B"]}},
            "required": ["x"],
            "additionalProperties": False,
        }
        function = {"name": "f", "strict": choice != "auto", "parameters": parameters}
        answer = self.chat(
            served,
            self.calling(served, kind),
            max_tokens=80,
            ignore_eos=False,
            tools=[{"type": "function", "function": function}],
            **CHOICES[choice],
        )
        message = answer.json["choices"][0]["message"]
        [call] = message["tool_calls"]

        assert ("f", {"x": "B"}) == (
            call["function"]["name"],
            json.loads(call["function"]["arguments"]),
        )
        assert ("AAA" if kind == "modes" else "A") == message["reasoning"]

    def test_trace(self, served: Served) -> None:
        """`preset_trace` has the thinking, which the reasoning parser takes out of the answer."""
        answer = self.chat(served, self.thinking(served, "modes"), preset_trace=True)
        [choice] = answer.json["choices"]
        spans = [(span["mode"], span["text"]) for span in choice["preset_trace"]["spans"]]

        assert "BBB" == choice["message"]["content"]
        assert [("think", "AAA"), ("close", "</think>"), ("answer", "BBB")] == spans

    def test_streamed_tools(self, served: Served) -> None:
        """A parser that holds back text doesn't hold back the modes."""
        parameters = {
            "type": "object",
            "properties": {"x": {"type": "string", "enum": ["A", "B"]}},
            "required": ["x"],
            "additionalProperties": False,
        }
        content = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "<think>"}],
            "max_tokens": 80,
            "stream": True,
            "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}],
            **CHOICES["auto"],
            **self.calling(served, "modes"),
        }
        thought, arguments = "", ""
        with httpx.stream(
            "POST", f"{served.server.url}{CHAT}", json=content, timeout=300
        ) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data: {"):
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    thought += choice["delta"].get("reasoning") or ""
                    for call in choice["delta"].get("tool_calls") or []:
                        arguments += call["function"].get("arguments") or ""

        assert ("AAA", {"x": "B"}) == (thought, json.loads(arguments))

    @pytest.mark.parametrize("kind", KINDS)
    def test_chunked_prefill(self, served: Served, kind: str) -> None:
        """A prompt that is read in parts counts as a whole."""
        prompt = [served.letters["C"], *served.tokenizer.encode(" of") * 300]
        answer = served.complete(kind, prompt)

        assert shows(kind, answer.text, without="C")


class TestParsersOnV2(TestWithArgumentsOfTheStart):
    """Parsers on the V2 runner."""

    @pytest.fixture
    def served(self, served_v2: Served) -> Served:
        """The server."""
        return served_v2


@pytest.mark.parametrize("kind", KINDS)
def test_adapters(served: Served, kind: str) -> None:
    """The preset acts on an adapter's logits, also where it adapts not all of the model's tokens.

    An adapter's name takes a preset as suffix.
    """
    greedy = {"model": "poet", "preset": {"top_k": 1}, "min_p": None}
    answer, narrow = (served.complete(kind, model=name) for name in ("poet", "narrow"))
    poet, other, own = (
        post(
            served.server,
            COMPLETIONS,
            {**greedy, "model": name, "prompt": "Q", "max_tokens": 8, "ignore_eos": True},
        )
        for name in ("poet", "narrow", "tiny")
    )
    suffix = {"model": "poet:chat", "prompt": "Q", "max_tokens": 2}

    assert shows(kind, answer.text)
    assert shows(kind, narrow.text)
    assert 3 == len({poet.text, other.text, own.text})
    assert str(post(served.server, COMPLETIONS, suffix).label).startswith("chat@")


@pytest.mark.parametrize(
    "mode", ["raw_logprobs", "raw_logits", "processed_logprobs", "processed_logits"]
)
@pytest.mark.parametrize("runner", ["v1", "v2"])
def test_logprobs_mode(runner: Runner, mode: str) -> None:
    """Raw numbers are the model's own in each mode of a text, processed ones the preset's."""
    tokenizer = tokenizer_of("tiny")
    a, b = (tokenizer.convert_tokens_to_ids(letter) for letter in "AB")
    preset = {
        "modes": {"first": {"suppress_tokens": [a]}, "second": {"suppress_tokens": [b]}},
        "switch": [{"from": "first", "on": {"tokens": 1}, "to": "second"}],
    }
    overrides = {"logprobs": -1, "max_tokens": 2, "ignore_eos": True}
    request = {"ids": [a, b], "preset": preset, "overrides": overrides}
    [sample] = distributions(
        model_path("tiny"), [request], runner=runner, dtype="float32", logprobs_mode=mode
    )
    banned = [[step[a] == 0, step[b] == 0] for step in sample.top]
    mass = [pytest.approx(1, abs=1e-3) == sum(step.values()) for step in sample.top]

    expected = [[True, False], [False, True]] if "processed" in mode else [[False] * 2] * 2
    assert expected == banned
    assert ["logprobs" in mode] * 2 == mass
