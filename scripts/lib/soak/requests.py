"""The requests of the soak, which follow from a seed: presets are named, or are fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from integration_tests.harness.ask import CHAT, COMPLETIONS, MESSAGES, RESPONSES, naming
from integration_tests.harness.random_presets import (
    NOTHING,
    Fields,
    Vocabulary,
    presets,
    remembers,
)
from integration_tests.harness.server import Runner

from temperament.presets import as_preset

MODEL: dict[Runner, str] = {"v1": "smollm2", "v2": "tiny"}

SIZE = {"smollm2": 49152, "tiny": 1024}

TOP = 20  # tokens whose log-probabilities are compared

GRAMMARS: tuple[dict[str, Any], ...] = (
    {"structured_outputs": {"choice": ["red", "green", "blue"]}},
    {"structured_outputs": {"regex": "[a-z]{1,6}"}},
    {"response_format": {"type": "json_object"}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "colour",
                "schema": {
                    "type": "object",
                    "properties": {"red": {"type": "boolean"}},
                    "required": ["red"],
                },
            },
        }
    },
)

# What is left of a request to vLLM alone.
NATIVE = {
    *("model", "prompt", "messages", "input", "max_tokens", "max_output_tokens", "stream", "n"),
    *("logprobs", "return_token_ids", "return_tokens_as_token_ids"),
    *("structured_outputs", "response_format"),
}


@dataclass
class Request:
    """One request of the soak."""

    number: int
    preset: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    kinds: list[str]
    # seconds after which the client goes away
    leaves: float | None = None
    # whether it is to be sent once more, alone
    sampled: bool = False


class Asker:
    """Draws requests from a seed."""

    def __init__(self, runner: Runner, model: str, seed: int, count: int, ids: list[int]) -> None:
        self.runner, self.seed, self.ids = runner, seed, ids
        drawn = presets(seed, count, Vocabulary(SIZE[model]))
        names = list(drawn)
        self.files = {name: drawn[name] for name in names[: count // 2]}
        self.inline = {name: drawn[name] for name in names[count // 2 :]}
        self.remembers = {n: remembers(as_preset(w, NOTHING)) for n, w in drawn.items()}
        random = Random(seed)
        starts = [random.randrange(len(ids) - 200) for _ in range(8)]
        self.prefixes = [ids[start : start + random.choice([32, 64, 96])] for start in starts]

    def request(self, number: int) -> Request:
        """The request of a number."""
        random = Random(f"{self.seed} {number}")
        preset = random.choice([*self.files, *self.inline])
        headers: dict[str, str] = {}
        fields: Fields = {"model": "m"}
        kinds = []
        if preset in self.files:
            ways = ("field", "suffix", "header", "vllm_xargs")
            named, headers = naming(random.choice(ways), preset, "m")
            fields |= named
            kinds.append("preset file")
        else:
            fields |= self.inline[preset]
            kinds.append("inline fields")
        sampled = random.random() < 0.08
        longest = 48 if random.random() < 0.06 else 12
        tokens = random.randint(1, longest)
        path = COMPLETIONS
        if not sampled:
            path = random.choices([COMPLETIONS, CHAT, RESPONSES, MESSAGES], [60, 34, 3, 3])[0]
        fields["stream"] = random.random() < 0.4
        fields |= self._content(path, tokens, random, kinds)
        if sampled:
            fields |= {"reproducible": True, "seed": random.randrange(2**31), "logprobs": TOP}
            fields |= {"return_token_ids": True, "return_tokens_as_token_ids": True}
            kinds.append("reproducible")
        if path in {COMPLETIONS, CHAT} and random.random() < 0.12:
            fields["n"] = random.randint(2, 3)
            kinds.append("several samples")
        kinds.append("streaming" if fields["stream"] else "whole")
        leaves = None
        if not sampled and random.random() < 0.12:
            leaves = random.expovariate(1 / 0.6)
            kinds.append("client goes away")
        return Request(number, preset, path, fields, headers, kinds, leaves, sampled)

    def _content(self, path: str, tokens: int, random: Random, kinds: list[str]) -> Fields:
        start = random.randrange(len(self.ids) - 300)
        if path == COMPLETIONS:
            prompt = self.ids[start : start + random.randint(2, 44)]
            if random.random() < 0.3:
                prompt = [*random.choice(self.prefixes), *prompt[: random.randint(1, 6)]]
                kinds.append("shared prefix")
            elif random.random() < 0.04:
                prompt = self.ids[start : start + random.randint(100, 300)]
                kinds.append("long prompt")
            return {"prompt": prompt, "max_tokens": tokens}
        text = f"Say {number_words(random)}."
        if path == RESPONSES:
            return {"input": text, "max_output_tokens": max(tokens, 2)}
        messages = [{"role": "user", "content": text}]
        fields: Fields = {"messages": messages, "max_tokens": tokens}
        if path == CHAT and self.runner == "v1" and random.random() < 0.25:
            fields |= random.choice(GRAMMARS)
            kinds.append("grammar")
        return fields


def number_words(random: Random) -> str:
    """Some words that differ from request to request."""
    return " ".join(random.choices(["a colour", "seven", "why", "你好", "def f():", "and"], k=4))


def plain(request: Request) -> Request:
    """The same request with two native fields in place of its preset."""
    kept = {name: value for name, value in request.body.items() if name in NATIVE}
    return replace(
        request, body={**kept, "model": "m", "temperature": 1.0, "top_p": 0.9}, headers={}
    )
