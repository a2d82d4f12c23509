"""A running vLLM server, asked over HTTP: with our plugin every preset, without it vLLM's own."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import torch

from temperament.errors import EngineError, Problem, shown
from temperament.plan import split
from temperament.plan.targets import VLLM
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset, schema
from temperament.stages import PARAMETERS
from temperament.studio.local import token_texts
from temperament.studio.model_source import Drawn, Logits
from temperament.studio.tokens import Writer, readable

_MINUS_INFINITY = -9999.0  # what vLLM writes for it
_ALL = "a server that tells all: --max-logprobs -1"
_TEXTS = 8192  # texts of tokens that are remembered


class Server:
    """A server's model. Make one with `connect`.

    `limit` is how many of the most likely tokens the server tells, -1 for all.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        name: str,
        tokenizer: Any = None,
        presets: Catalogue | None = None,
        defaults: Preset | None = None,
        root: str = "",
    ) -> None:
        self.name = name
        # the folder or the name that the server was started with
        self.root = root or name
        self.tokenizer = tokenizer
        # what can be named there; None on a server without our plugin
        self.presets = presets
        # what the server lays below every request: its default preset and its model's values
        self.defaults = Preset("server") if defaults is None else defaults
        self._client = client
        self._limit: int | None = None
        self._texts: dict[int, str] = {}

    async def encode(self, prompt: str, *, chat: bool = False) -> list[int]:
        """See `Source`."""
        asked: dict[str, Any] = {"prompt": prompt}
        if chat:
            asked = {"messages": [{"role": "user", "content": prompt}]}
        answer = await self._post("/tokenize", {"model": self.name, **asked})
        return list(answer["tokens"])

    async def logits(self, ids: Sequence[int]) -> Logits:
        """See `Source`: as many of the most likely tokens as the server's `--max-logprobs` has."""
        neutral = {name: PARAMETERS[name].neutral for name in VLLM.fields if name in PARAMETERS}
        below = [self.defaults.values, *(mode.values for mode in self.defaults.modes)]
        neutral |= {name: PARAMETERS[name].neutral for values in below for name in values}
        body = {
            "model": self.name,
            "prompt": list(ids),
            "max_tokens": 1,
            "return_tokens_as_token_ids": True,
            **{name: value for name, value in neutral.items() if value not in (None, ())},
        }
        limits = (-1, 20, 5, 1) if self._limit is None else (self._limit,)
        for limit in limits:
            try:
                answer = await self._post("/v1/completions", {**body, "logprobs": limit})
            except EngineError:
                if limit == limits[-1]:
                    raise
                continue
            self._limit = limit
            break
        told = answer["choices"][0]["logprobs"]["top_logprobs"][0]
        pairs = [(int(key.removeprefix("token_id:")), value) for key, value in told.items()]
        pairs.sort(key=lambda pair: -pair[1])
        if self._limit != -1:  # the token that was drawn is told beside the most likely
            pairs = pairs[: self._limit]
        size = 1 + max(*(token for token, _ in pairs), *ids)
        row = torch.full((size,), -torch.inf)
        for token, value in pairs:
            row[token] = value if value > _MINUS_INFINITY else -torch.inf
        total = float(row.logsumexp(-1))
        absolute = total > 0.01  # with --logprobs-mode raw_logits
        if absolute and self._limit != -1:
            raise EngineError(
                Problem("--server", "", "tells raw logits of some tokens", allowed=_ALL)
            )
        return Logits(row, 1.0 if self._limit == -1 else min(math.exp(total), 1.0), absolute)

    async def texts(self, ids: Sequence[int]) -> list[str]:
        """See `Source`."""
        if self.tokenizer is not None:
            return token_texts(self.tokenizer, ids)
        texts = await asyncio.gather(*map(self._text, ids))
        return [readable(text) or f"<{token}>" for token, text in zip(ids, texts, strict=True)]

    async def _bytes(self, token: int) -> bytes:
        if self.tokenizer is None:
            return (await self._text(token)).encode()
        table = TokenBytes.of(self.tokenizer).tokens
        return table[token] if token < len(table) else b""

    async def _text(self, token: int) -> str:
        """A token's text as the server tells it."""
        if token not in self._texts:
            if len(self._texts) >= _TEXTS:
                self._texts.clear()
            asked = {"model": self.name, "tokens": [token]}
            self._texts[token] = str((await self._post("/detokenize", asked))["prompt"])
        return self._texts[token]

    async def generate(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> AsyncIterator[Drawn]:
        """See `Source`. A server without our plugin is asked for what vLLM has of its own."""
        body = self._completion(ids, preset, seed, max_tokens) | {"stream": True}
        writer = Writer()
        async with self._client.stream("POST", "/v1/completions", json=body) as answer:
            if answer.is_error:
                await answer.aread()
                raise refused(answer)
            async for line in answer.aiter_lines():
                content = line.removeprefix("data:").strip()
                if not content or content == "[DONE]":
                    continue
                chunk = json.loads(content)
                if "error" in chunk:
                    raise EngineError(Problem("server", "", str(chunk["error"]["message"])))
                if not chunk["choices"]:
                    continue
                tokens, surprises = _drawn(chunk["choices"][0])
                for token, surprise in zip(tokens, surprises, strict=True):
                    yield Drawn(token, writer.add(await self._bytes(token)), surprise)

    async def complete(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> tuple[list[int], list[float]]:
        """The ids of a text after `ids` and their surprises, as `generate`, all at once."""
        body = self._completion(ids, preset, seed, max_tokens)
        answer = await self._post("/v1/completions", body)
        return _drawn(answer["choices"][0])

    def _completion(
        self, ids: Sequence[int], preset: Preset, seed: int, max_tokens: int
    ) -> dict[str, Any]:
        if self.presets is None:
            refuse_foreign(preset)
        known = self.presets is not None and self.presets.get(preset.name)
        named = known and known.digest == preset.digest
        return {
            "model": self.name,
            "prompt": list(ids),
            **({"preset": preset.name} if named else preset.plain()),
            "seed": seed,
            "max_tokens": max_tokens,
            "logprobs": 0,
            "return_tokens_as_token_ids": True,
        }

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await ask(self._client, "POST", path, json=body)


async def connect(client: httpx.AsyncClient, tokenizer: Any = None) -> Server:
    """The server behind `client`, whose `base_url` is the server's.

    Without a `tokenizer` the served folder's is read, if this machine has the folder. Raises
    `EngineError` if the server doesn't answer as vLLM does.
    """
    models = await ask(client, "GET", "/v1/models")
    served = models["data"][0]
    answer = await client.get("/v1/presets")
    presets, defaults = None, None
    if answer.is_success:
        told = answer.json()
        presets = Catalogue(
            {entry["name"]: _preset(entry) for entry in told["data"]},
            {alias: entry["name"] for entry in told["data"] for alias in entry["aliases"]},
        )
        defaults = _preset(told["below"])
    root = served.get("root") or ""
    if tokenizer is None and Path(root, "tokenizer_config.json").is_file():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(root, local_files_only=True)
    return Server(client, served["id"], tokenizer, presets, defaults, root)


def _drawn(choice: Mapping[str, Any]) -> tuple[list[int], list[float]]:
    """The drawn ids in a choice, and their surprises in nats."""
    told = choice["logprobs"] or {"tokens": [], "token_logprobs": []}
    tokens = [int(key.removeprefix("token_id:")) for key in told["tokens"]]
    return tokens, [-value for value in told["token_logprobs"]]


def _preset(entry: Mapping[str, Any]) -> Preset:
    """A preset as `GET /v1/presets` tells it."""
    said = {name: entry[name] for name in ("order", "modes", "start", "switch") if entry.get(name)}
    values = {**entry["parameters"], **entry["generation"], **said}
    return schema.preset(entry["name"], values, where="--server")[0]


async def ask(client: httpx.AsyncClient, method: str, path: str, **rest: Any) -> Any:
    """The JSON of an answer. Raises `EngineError` if there is none, or a refusal."""
    try:
        answer = await client.request(method, path, **rest)
    except httpx.TransportError as error:
        given = shown(str(client.base_url))
        raise EngineError(
            Problem("--server", "", f"doesn't answer: {error}", given, "the URL of a vLLM server")
        ) from error
    if answer.is_error:
        raise refused(answer)
    return answer.json()


def refused(answer: httpx.Response) -> EngineError:
    """What a server said against a request."""
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = answer.text[:500]
    return EngineError(Problem("server", "", str(message), f"HTTP {answer.status_code}"))


def refuse_foreign(preset: Preset) -> None:
    """Raises `EngineError` for what a server without our plugin would drop in silence."""
    plan = split(preset.chain, VLLM, "native")
    if plan.residual:
        raise EngineError(
            Problem(
                "--server",
                decision.step.stage,
                f"this server reads no presets, and vLLM alone can't do it: {decision.reason}",
                allowed="a server that was started with VLLM_PLUGINS=temperament",
            )
            for decision in plan.decisions
            if decision.side == "residual"
        )
