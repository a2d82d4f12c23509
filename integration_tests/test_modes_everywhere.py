"""Presets with modes on real engines: the same tokens and the same switches; traces over HTTP."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import temperament
from integration_tests.harness.ask import CHAT, COMPLETIONS, ask, body, post
from integration_tests.harness.offline import generate
from integration_tests.harness.server import Server
from temperament.plan.follow import Follower, Switch
from temperament.plan.machine import Switching, machine
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, as_preset

# Cooler than DeepSeek's scale, so that a small model comes to its fences and quotation marks.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Write a Python function that adds two numbers, in a code block, and explain it.",
     {"extends": "coding-assistant", "modes": {"prose": {"temperature": 0.6}}}),
    ("Answer in JSON with the keys name and city: Bob lives in Rome.",
     {"extends": "json-extraction"}),
    ('Write a dialogue of a cat and a dog, each line in quotation marks: "Hello."',
     {"extends": "story", "modes": {"narration": {"temperature": 0.7}}}),
    ("Write the word sea many times.", {"extends": "anti-loop"}),
    ("Why is the sky blue?",
     {"modes": {"hot": {"temperature": {"from": 1.5, "to": 0.2, "over": 12, "curve": "cosine"}},
                "cold": {"temperature": 0.7, "top_k": 20}},
      "switch": [{"from": "hot", "on": {"tokens": 15}, "to": "cold"},
                 {"from": "cold", "on": {"text": [".", ",", "\n"]}, "to": "back"}]}),
    ("Name three rivers.",
     {"modes": {"calm": {"temperature": 0.7}, "bold": {"temperature": 1.2, "top_p": 0.9}},
      "switch": [{"from": "calm", "on": {"entropy": {"above": 1.5, "for": 2}}, "to": "bold"},
                 {"from": "bold", "on": {"tokens": 4}, "to": "back"}]}),
]  # fmt: skip
TOKENS = 64

Requests = list[dict[str, Any]]
Texts = list[list[int]]


def requests_at(folder: Path, chat: bool = True) -> Requests:
    """A prompt for each preset, each with a seed of its own."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    made = []
    for seed, (text, words) in enumerate(CASES):
        messages = [{"role": "user", "content": text}]
        ids = (
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            if chat
            else tokenizer(text)["input_ids"][:20]
        )
        preset = {**words, "reproducible": True, "seed": 3000 + seed}
        made.append({"ids": ids, "preset": preset, "overrides": {"max_tokens": TOKENS}})
    return made


def by_transformers(folder: Path, requests: Requests) -> Texts:
    """What Transformers draws, one prompt at a time, in float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    texts = []
    for request in requests:
        kwargs = temperament.transformers.generate_kwargs(request["preset"], tokenizer)
        ids = torch.tensor([request["ids"]])
        done = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS,
                              pad_token_id=tokenizer.eos_token_id, **kwargs)  # fmt: skip
        texts.append(done[0, ids.shape[1] :].tolist())
    return texts


def common(one: Texts, other: Texts) -> list[tuple[list[int], list[int]]]:
    """Pairs of texts as far as both go: an end that only one side reports is no difference."""
    lengths = [min(len(a), len(b)) for a, b in zip(one, other, strict=True)]
    return [(a[:n], b[:n]) for a, b, n in zip(one, other, lengths, strict=True)]


def parted(one: Texts, other: Texts) -> int:
    """How many texts differ."""
    return sum(a != b for a, b in common(one, other))


def switches(folder: Path, requests: Requests, texts: Texts) -> list[list[Switch]]:
    """Where each text switched, as far as its tokens tell."""
    vocabulary = TokenBytes.of(AutoTokenizer.from_pretrained(folder))
    catalogue = Catalogue.load()
    found = []
    for request, tokens in zip(requests, texts, strict=True):
        switching = Switching.of(as_preset(request["preset"], catalogue))
        assert switching is not None
        text = Follower(machine(switching, vocabulary))
        text.read_prompt(request["ids"])
        text.read(tokens)
        found.append([] if switching.forgets else text.switches)
    return found


def test_the_same_text_and_switches_everywhere(smollm2_path: Path) -> None:
    """Transformers, V1 alone, and V1 in a mixed batch that is preempted, with a real model."""
    requests = requests_at(smollm2_path)
    wanted = by_transformers(smollm2_path, requests)
    options: dict[str, Any] = {"dtype": "float32", "max_model_len": 256}
    alone, _ = generate(smollm2_path, requests, max_num_seqs=1, **options)
    # Others without modes among them, in a cache of few blocks: requests are preempted.
    plain = {"temperature": 1.0, "reproducible": True, "seed": 1}
    many = [one for r in requests for one in (r, {**r, "preset": plain})] * 2
    mixed, log = generate(
        smollm2_path, many, max_num_seqs=24, num_gpu_blocks_override=14, block_size=32,
        enable_prefix_caching=False, **options,
    )  # fmt: skip
    preemptions = sum(map(float, re.findall(r"preemption\S* ([\d.]+)", log)))
    texts = [samples[0] for samples in alone]
    first, second = ([s[0] for s in mixed[start : start + 12 : 2]] for start in (0, 12))
    apart = {"Transformers, V1": parted(wanted, texts), "V1 alone, mixed": parted(texts, first),
             "mixed, mixed": parted(first, second)}  # fmt: skip
    print(f"\nparted, of 6 each: {apart}; {preemptions:.0f} preemptions")
    places = switches(smollm2_path, requests, wanted)
    print(f"switches: {[len(own) for own in places]}")

    assert preemptions > 0
    assert sum(map(len, places)) > 10
    assert set(apart.values()) == {0}
    for one, other in ((wanted, texts), (texts, first), (first, second)):
        pairs = common(one, other)
        sides = [[pair[side] for pair in pairs] for side in (0, 1)]
        assert switches(smollm2_path, requests, sides[0]) == switches(
            smollm2_path, requests, sides[1]
        )


def test_the_same_text_on_the_second_runner(tiny_path: Path) -> None:
    """V2 with a tiny model: the same tokens as Transformers, and so the same switches."""
    requests = requests_at(tiny_path, chat=False)
    wanted = by_transformers(tiny_path, requests)
    done, _ = generate(tiny_path, requests, runner="v2", dtype="float32", max_model_len=128)
    texts = [samples[0] for samples in done]
    print(f"\nparted: Transformers against V2 {parted(wanted, texts)} of 6")

    assert parted(wanted, texts) == 0


def trace_of(server: Server, path: str, **fields: Any) -> tuple[str, dict[str, Any], Any]:
    """(text, trace, the whole answer) of one request."""
    answer = ask(server, path, "smollm2", preset_trace=True, max_tokens=80, **fields)
    assert answer.status == 200, answer.json
    return answer.text, answer.json["choices"][0]["preset_trace"], answer.json


FENCED = {"messages": [{"role": "user", "content": CASES[0][0]}], "temperature": 0}
WITHOUT_VALUES = {
    "modes": {"prose": {}, "code": {"top_k": 5}},
    "switch": [{"from": "prose", "on": {"text": "```", "at_line_start": True}, "to": "code"},
               {"from": "code", "on": {"end_of": "```"}, "to": "back"}],
}  # fmt: skip


class TestTraces:
    """`"preset_trace": true` on a real server."""

    def test_the_spans_are_the_text(self, v1_server: Server) -> None:
        """Joined, they give the answer; the fence is in its mode."""
        text, trace, answer = trace_of(v1_server, CHAT, **FENCED, **WITHOUT_VALUES)
        spans = trace["spans"]

        assert "".join(span["text"] for span in spans).startswith(text)
        assert "code" in {span["mode"] for span in spans}
        places = [switch["token"] for switch in trace["switches"]]
        assert {span["start"] for span in spans} - {0} <= set(places)
        assert "token_ids" not in answer["choices"][0]

    def test_a_stream_has_the_same(self, v1_server: Server) -> None:
        """In its last chunk."""
        _, wanted, _ = trace_of(v1_server, CHAT, **FENCED, **WITHOUT_VALUES)
        fields = {**body(CHAT, "smollm2"), **FENCED, **WITHOUT_VALUES}
        fields |= {"stream": True, "preset_trace": True, "max_tokens": 80}
        with httpx.stream("POST", f"{v1_server.url}{CHAT}", json=fields, timeout=120) as answer:
            lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
        chunks = [json.loads(line) for line in lines if line != "[DONE]"]
        traces = [
            c["preset_trace"] for one in chunks for c in one["choices"] if "preset_trace" in c
        ]

        assert traces == [wanted]

    def test_a_prompt_inside_a_fence_goes_on_in_code(self, v1_server: Server) -> None:
        """`start: auto`, on a completion."""
        prompt = "Here it is:\n```python\ndef add(a, b):\n"
        words = {**WITHOUT_VALUES, "start": "auto", "temperature": 0}
        _, trace, _ = trace_of(v1_server, COMPLETIONS, prompt=prompt, **words)

        assert trace["spans"][0]["mode"] == "code"

    @pytest.mark.parametrize("fields", [
        {"preset": "chat"}, {"modes": {"a": {}}, "start": "b"},
        {"modes": {"a": {}, "b": {"top_k": 1}}, "switch": [{"on": {"token": 10**6}, "to": "b"}]},
    ], ids=str)  # fmt: skip
    def test_what_can_not_be_is_refused(self, v1_server: Server, fields: dict[str, Any]) -> None:
        """With 400, and the server goes on."""
        content = {**body(CHAT, "smollm2"), "preset_trace": True, **fields}

        assert post(v1_server, CHAT, content).status == 400
        assert ask(v1_server, CHAT, "smollm2", preset="coding-assistant").status == 200


@pytest.mark.parametrize("color", [False, True])
def test_the_command(smollm2_path: Path, capsys: pytest.CaptureFixture[str], color: bool) -> None:
    """`temperament trace` prints the text by its modes, and where it switched."""
    from temperament.cli import main

    run: Callable[[list[str]], int] = main
    words = ["trace", "json-extraction", "--model", str(smollm2_path), "--prompt", CASES[1][0]]
    words += ["--max-tokens", "40", "--color", "always" if color else "never"]

    assert run(words) == 0
    printed = capsys.readouterr().out
    assert "object → value" in printed
    assert ("\033[" in printed) == color
    assert ("[value]" in printed) != color
