"""Presets with modes on real engines: the same tokens and the same switches; traces over HTTP."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
)

import temperament
from integration_tests.harness.ask import CHAT, COMPLETIONS, ask, body, post
from integration_tests.harness.offline import generate
from integration_tests.harness.server import Server
from temperament.engines.transformers import PresetLogitsProcessor
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Switch, Tracer
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
TOKENS = 32
SEEDS = 1  # of each; docs/modes.md tells what more of them gave

Requests = list[dict[str, Any]]
Texts = list[list[int]]


def requests_at(folder: Path, chat: bool = True) -> Requests:
    """A request for each preset, each with another seed."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bodies = []
    for seed, (text, fields) in enumerate(CASES * SEEDS):
        messages = [{"role": "user", "content": text}]
        ids = (
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            if chat
            else tokenizer(text)["input_ids"][:20]
        )
        preset = {**fields, "reproducible": True, "seed": 3000 + seed}
        bodies.append({"ids": ids, "preset": preset, "overrides": {"max_tokens": TOKENS}})
    return bodies


@cache
def loaded(folder: Path) -> tuple[Any, Any]:
    """(tokenizer, model) of a folder, in float32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(folder), model


def by_transformers(folder: Path, requests: Requests) -> Texts:
    """What Transformers draws, one prompt at a time, in float32."""
    tokenizer, model = loaded(folder)
    texts = []
    for request in requests:
        kwargs = temperament.transformers.generate_kwargs(request["preset"], tokenizer)
        ids = torch.tensor([request["ids"]])
        done = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS,
                              pad_token_id=tokenizer.eos_token_id, **kwargs)  # fmt: skip
        texts.append(done[0, ids.shape[1] :].tolist())
    return texts


def common(one: Texts, other: Texts) -> list[tuple[list[int], list[int]]]:
    """The pairs of texts, cut to the shorter one, since an engine may leave out the end token."""
    lengths = [min(len(a), len(b)) for a, b in zip(one, other, strict=True)]
    return [(a[:n], b[:n]) for a, b, n in zip(one, other, lengths, strict=True)]


def parted(one: Texts, other: Texts) -> int:
    """How many pairs of texts differ."""
    return sum(a != b for a, b in common(one, other))


def switches(folder: Path, requests: Requests, texts: Texts) -> list[list[Switch]]:
    """Where each text switched, as far as its tokens tell."""
    vocabulary = TokenBytes.of(AutoTokenizer.from_pretrained(folder))
    catalogue = Catalogue.load()
    found = []
    for request, tokens in zip(requests, texts, strict=True):
        switching = Switching.of(as_preset(request["preset"], catalogue))
        assert switching is not None
        text = Tracer(mode_automaton(switching, vocabulary))
        text.read_prompt(request["ids"])
        text.read(tokens)
        found.append([] if switching.uses_entropy else text.switches)
    return found


def test_the_same_text_and_switches_everywhere(smollm2_path: Path) -> None:
    """Transformers, V1 alone, and V1 preempted in a mixed batch switch and write alike."""
    requests = requests_at(smollm2_path)
    count = len(requests)
    expected = by_transformers(smollm2_path, requests)
    # Others without modes among them, in a cache of few blocks: requests are preempted.
    plain = {"temperature": 1.0, "reproducible": True, "seed": 1}
    mixed = [one for r in requests for one in (r, {**r, "preset": plain})]
    done, preemptions = generate(
        smollm2_path, [*requests, *mixed], alone=count, max_num_seqs=2 * count,
        num_gpu_blocks_override=14 * SEEDS, block_size=32, enable_prefix_caching=False,
        dtype="float32", max_model_len=256,
    )  # fmt: skip
    texts = [samples[0] for samples in done]
    alone, among_others = texts[:count], texts[count::2]
    apart = {
        "Transformers, V1": parted(expected, alone),
        "alone, mixed": parted(alone, among_others),
    }
    print(f"\nparted, of {count} each: {apart}; {preemptions} preemptions")
    places = switches(smollm2_path, requests, expected)
    print(f"switches: {[len(own) for own in places]}")

    assert preemptions > 0
    assert sum(map(len, places)) > 10
    assert {0} == set(apart.values())
    for one, other in ((expected, alone), (alone, among_others)):
        pairs = common(one, other)
        sides = [[pair[side] for pair in pairs] for side in (0, 1)]
        assert switches(smollm2_path, requests, sides[0]) == switches(
            smollm2_path, requests, sides[1]
        )


def test_the_same_text_on_the_second_runner(tiny_path: Path) -> None:
    """V2 gives the same tokens as Transformers on a tiny model, and so the same switches."""
    requests = requests_at(tiny_path, chat=False)
    expected = by_transformers(tiny_path, requests)
    done, _ = generate(tiny_path, requests, runner="v2", dtype="float32", max_model_len=128)
    texts = [samples[0] for samples in done]
    print(f"\nparted: Transformers against V2 {parted(expected, texts)} of {len(requests)}")

    assert 0 == parted(expected, texts)


class Listener(LogitsProcessor):
    """Keeps each row's text and mode at every step of `generate`."""

    def __init__(self, inner: PresetLogitsProcessor) -> None:
        self.inner = inner
        self.seen: list[tuple[list[int], int]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        done = self.inner(input_ids, scores)
        self.seen += zip(input_ids.tolist(), self.inner.modes, strict=True)
        return done


@pytest.mark.parametrize("rows", ["num_beams", "num_return_sequences"])
def test_every_row_of_a_prompt_has_the_mode_of_its_own_text(smollm2_path: Path, rows: str) -> None:
    """At every step a row has the mode that its text leads to, also when beams change rows."""
    tokenizer, model = loaded(smollm2_path)
    vocabulary, catalogue = TokenBytes.of(tokenizer), Catalogue.load()
    beams = rows == "num_beams"
    fields: dict[str, Any] = {
        "modes": {"dull": {"top_k": 3}, "word": {"top_k": 50}, "line": {"top_k": 20}},
        "switch": [
            {"from": "dull", "on": {"text": [" the", " and", " a"]}, "to": "word"},
            {"from": ["dull", "word"], "on": {"text": "\n"}, "to": "line"},
            {"from": "word", "on": {"tokens": 2}, "to": "back"},
            {"from": "line", "on": {"text": ["e", "o"]}, "to": "dull"},
        ],
        rows: 3,
    }
    switching = Switching.of(as_preset(fields, catalogue))
    assert switching is not None
    text = "Write a poem of four lines about the sea and the wind."
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
    )
    ids = torch.tensor([prompt])
    kwargs = temperament.transformers.generate_kwargs(fields, tokenizer)
    listener = Listener(kwargs.pop("logits_processor")[0])
    torch.manual_seed(5)
    model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=20,
        pad_token_id=tokenizer.eos_token_id, logits_processor=LogitsProcessorList([listener]),
        **kwargs,
    )  # fmt: skip
    found, expected = [], []
    for tokens, mode in listener.seen:
        tracer = Tracer(mode_automaton(switching, vocabulary))
        tracer.read(tokens[len(prompt) :])
        found.append(mode)
        expected.append(tracer.drawn_in)
    texts = [tokens for tokens, _ in listener.seen]
    moved = sum(later[:-1] != earlier for earlier, later in zip(texts, texts[3:], strict=False))

    assert expected == found
    assert {0, 1, 2} == set(expected)
    assert (moved > 0) == beams


FENCED = {"messages": [{"role": "user", "content": CASES[0][0]}], "temperature": 0}
# A temperature of the request's own is that of all modes.
WITHOUT_VALUES = {
    "modes": {"prose": {}, "code": {"top_k": 5}},
    "switch": [{"from": "prose", "on": {"text": "```", "at_line_start": True}, "to": "code"},
               {"from": "code", "on": {"end_of": "```"}, "to": "back"}],
}  # fmt: skip
# Written by the grammar, whatever the model would say.
A_FENCE = {"structured_outputs": {"regex": r"Here:\n```\n[a-z ]{8}\n```\nDone\."}}
MODAL = {**FENCED, **WITHOUT_VALUES, **A_FENCE, "max_tokens": 70}


def trace_of(server: Server, path: str, **fields: Any) -> tuple[str, dict[str, Any], Any]:
    """(text, trace, the whole answer) of one request."""
    answer = ask(server, path, "smollm2", preset_trace=True, **fields)
    assert 200 == answer.status, answer.json
    return answer.text, answer.json["choices"][0]["preset_trace"], answer.json


class TestTraces:
    """`"preset_trace": true` returns the modes of an answer."""

    def test_the_spans_are_the_text(self, v1_server: Server) -> None:
        """The spans join to the answer, and the fence is in the mode `code`."""
        text, trace, answer = trace_of(v1_server, CHAT, **MODAL)
        spans = trace["spans"]

        assert "".join(span["text"] for span in spans).startswith(text)
        assert "code" in {span["mode"] for span in spans}
        places = [switch["token"] for switch in trace["switches"]]
        assert {span["start"] for span in spans} - {0} <= set(places)
        assert "token_ids" not in answer["choices"][0]

    def test_a_stream_has_the_same(self, v1_server: Server) -> None:
        """A stream has the same text, and the trace in its last chunk."""
        sampling: dict[str, Any] = {"preset": "coding-assistant", "reproducible": True, "seed": 11}
        asked = {"messages": FENCED["messages"], **sampling, "max_tokens": 40}
        text, expected, _ = trace_of(v1_server, CHAT, **asked)
        fields = {**body(CHAT, "smollm2"), **asked, "stream": True, "preset_trace": True}
        with httpx.stream("POST", f"{v1_server.url}{CHAT}", json=fields, timeout=300) as answer:
            lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
        choices = [c for one in lines if one != "[DONE]" for c in json.loads(one)["choices"]]

        assert text == "".join(c["delta"].get("content") or "" for c in choices)
        assert [expected] == [c["preset_trace"] for c in choices if "preset_trace" in c]
        assert "preset_trace" in choices[-1]

    def test_a_prompt_inside_a_fence_goes_on_in_code(self, v1_server: Server) -> None:
        """With `start: auto` a completion begins in the mode in which its prompt ends."""
        prompt = "Here it is:\n```python\ndef add(a, b):\n"
        sampling = {**WITHOUT_VALUES, "start": "auto", "temperature": 0, "max_tokens": 20}
        _, trace, _ = trace_of(v1_server, COMPLETIONS, prompt=prompt, **sampling)

        assert "code" == trace["spans"][0]["mode"]


TWO = {"a": {}, "b": {"top_k": 1}}
MANY_TEXTS = [f"{number:02d}" + "x" * 40 for number in range(30)]
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no modes to trace": ({"preset": "chat", "preset_trace": True}, ("preset_trace",)),
    "an unknown start": ({"modes": {"a": {}}, "start": "b"}, ("start", "'b'")),
    "everything at once": (
        {"modes": {**TWO, "c": {"top_q": 1}},
         "switch": [{"from": "a", "on": {"text": ""}, "to": "b"},
                    {"from": "a", "on": {"tokens": 0}, "to": "d"}]},
        ("modes.c.top_q: unknown name", "switch.0.on.text: not allowed; given: ''",
         "switch.1.on.tokens: not allowed; given: 0",
         "switch.1.to: unknown mode; given: 'd'; allowed: a, b, c, back"),
    ),
    "a token beyond the vocabulary": (
        {"modes": TWO, "switch": [{"on": {"token": 10**6}, "to": "b"}]},
        ("switch.0.on.token", "no such token", "1000000"),
    ),
    "a token of another vocabulary": (
        {"modes": TWO, "switch": [{"on": {"token": "<|im_stop|>"}, "to": "b"}]},
        ("switch.0.on.token", "no such token", "<|im_end|>"),
    ),
    "too many states": (
        {"modes": TWO, "switch": [{"on": {"text": MANY_TEXTS}, "to": "b"}]},
        ("switch: too much for a request", "1260 bytes of texts to search for", "at most 256"),
    ),
    "in a preset of the request's own": (
        {"preset": {"modes": TWO, "start": "z", "switch": [{"on": {"text": ""}, "to": "d"}]}},
        ("preset.switch.0.on.text: not allowed; given: ''",
         "preset.start: unknown mode; given: 'z'", "preset.switch.0.to: unknown mode; given: 'd'"),
    ),
    "a mode that is never reached": (
        {"modes": {**TWO, "c": {}}, "switch": [{"on": {"tokens": 3}, "to": "b"}]},
        ("modes.c",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_modes_are_refused(v1_server: Server, name: str) -> None:
    """Bad modes are answered 400, with every problem at once."""
    fields, expected = BAD[name]
    answer = post(v1_server, CHAT, {**body(CHAT, "smollm2"), **fields})

    assert 400 == answer.status, answer.json
    assert all(word in answer.message for word in expected), answer.message


def test_good_modes_among_bad_ones(v1_server: Server) -> None:
    """A good request with modes is answered after the bad ones."""
    good = ask(v1_server, CHAT, "smollm2", preset="coding-assistant")

    assert 200 == good.status
    assert good.label is not None and good.label.startswith("coding-assistant@")


def test_the_command(smollm2_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`temperament trace` prints the text by its modes, and where it switched."""
    from temperament.cli import main

    run: Callable[[list[str]], int] = main
    arguments = ["trace", "json-extraction", "--model", str(smollm2_path), "--prompt", CASES[1][0]]

    assert 0 == run([*arguments, "--max-tokens", "24", "--color", "always"])
    printed = capsys.readouterr().out
    assert "object → value" in printed
    assert "\033[" in printed
