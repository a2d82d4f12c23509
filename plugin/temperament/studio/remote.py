"""A running vLLM server as a source of logits and texts, over HTTP.

A server with the plugin runs every preset. One without it runs what vLLM does by itself, and a
preset that needs more is refused: vLLM ignores fields that it doesn't know.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import torch

from temperament.errors import EngineError, Problem, shown
from temperament.plan import split_preset
from temperament.plan.documented import BY_FIELD
from temperament.plan.residual import PresetPlan
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset
from temperament.presets.parsing import parse_preset
from temperament.server.endpoints import ENDPOINTS
from temperament.stages import PARAMETERS
from temperament.studio.inspection import refuse_unbound
from temperament.studio.local import token_texts
from temperament.studio.model_source import Drawn, Logits
from temperament.studio.readable_tokens import Writer, readable

# vLLM closes a connection that was idle for 5 s, which is also when httpx would stop using it. A
# request sent at that moment ends in a `ReadError`, so the client gives up its connections earlier.
LIMITS = httpx.Limits(keepalive_expiry=2)

_COMPLETIONS = "/v1/completions"
_ENDPOINT = ENDPOINTS[_COMPLETIONS]
_MINUS_INFINITY = -9999.0  # vLLM's JSON has this number for -inf
_ALL_LOGPROBS = "a server that returns the logprobs of all tokens: --max-logprobs -1"
_PLUGIN = "a server that was started with VLLM_PLUGINS=temperament"
_TEXTS = 8192  # texts of tokens that are kept


class Server:
    """The model of a server. `connect` builds one.

    `root` is the folder or name with which the server was started. `presets` are those that the
    server can sample with, by name; None without the plugin. `defaults` is the layer that the
    server puts under every request: its default preset and its model's values; a server without the
    plugin doesn't report it. `tokenizer` is None if this machine doesn't have the model's folder.
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
        self.root = root or name
        self.tokenizer = tokenizer
        self.presets = presets
        self.defaults = Preset("server") if defaults is None else defaults
        self._client = client
        # how many of the most likely tokens the server returns, -1 for all; None until known
        self._limit: int | None = None
        self._texts: dict[int, str] = {}

    async def encode(self, prompt: str, *, chat: bool = False) -> list[int]:
        """See `Source`."""
        body: dict[str, Any] = {"model": self.name, "prompt": prompt}
        if chat:
            messages = [{"role": "user", "content": prompt}]
            body = {"model": self.name, "messages": messages}
        answer = await self._post("/tokenize", body)
        return list(answer["tokens"])

    async def logits(self, ids: Sequence[int]) -> Logits:
        """See `Source`: as many of the most likely tokens as the server's `--max-logprobs` allows.

        The request sets every parameter of the server's defaults to its neutral value, so that the
        distribution is the model's, before any stage.
        """
        names = {name for name in _ENDPOINT.target.fields if name in PARAMETERS}
        names.update(self.defaults.values, *(mode.values for mode in self.defaults.modes))
        neutral = {name: PARAMETERS[name].neutral for name in names}
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
                answer = await self._post(_COMPLETIONS, {**body, "logprobs": limit})
            except EngineError:
                if limit == limits[-1]:
                    raise
                continue
            self._limit = limit
            break
        logprobs = answer["choices"][0]["logprobs"]["top_logprobs"][0]
        pairs = [(int(key.removeprefix("token_id:")), value) for key, value in logprobs.items()]
        pairs.sort(key=lambda pair: -pair[1])
        if self._limit != -1:  # vLLM adds the sampled token to the most likely ones
            pairs = pairs[: self._limit]
        size = 1 + max(*(token for token, _ in pairs), *ids)
        row = torch.full((size,), -torch.inf)
        for token, value in pairs:
            row[token] = value if value > _MINUS_INFINITY else -torch.inf
        total = float(row.logsumexp(-1))
        absolute = total > 0.01  # the server runs with --logprobs-mode raw_logits
        if absolute and self._limit != -1:
            raise EngineError(
                Problem(
                    "--server", "", "returns the logits of some tokens only", allowed=_ALL_LOGPROBS
                )
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
        """A token's text from the server; up to `_TEXTS` are kept."""
        if token not in self._texts:
            if len(self._texts) >= _TEXTS:
                self._texts.clear()
            body = {"model": self.name, "tokens": [token]}
            self._texts[token] = str((await self._post("/detokenize", body))["prompt"])
        return self._texts[token]

    async def generate(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> AsyncIterator[Drawn]:
        """See `Source`.

        Raises `PresetError` for an unbound preset and `EngineError`, with every reason, for a
        preset that this server can't run.
        """
        body = self._completion(ids, preset, seed, max_tokens) | {"stream": True}
        writer = Writer()
        async with self._client.stream("POST", _COMPLETIONS, json=body) as answer:
            if answer.is_error:
                await answer.aread()
                raise refusal(answer)
            async for line in answer.aiter_lines():
                content = line.removeprefix("data:").strip()
                if not content or content == "[DONE]":
                    continue
                chunk = json.loads(content)
                if "error" in chunk:
                    raise EngineError(Problem("server", "", str(chunk["error"]["message"])))
                if not chunk["choices"]:
                    continue
                tokens, surprises = _tokens(chunk["choices"][0])
                for token, surprise in zip(tokens, surprises, strict=True):
                    yield Drawn(token, writer.add(await self._bytes(token)), surprise)

    async def complete(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> tuple[list[int], list[float]]:
        """The token ids of a text after `ids`, and their surprises in nats.

        Raises what `generate` raises.
        """
        body = self._completion(ids, preset, seed, max_tokens)
        answer = await self._post(_COMPLETIONS, body)
        return _tokens(answer["choices"][0])

    def _completion(
        self, ids: Sequence[int], preset: Preset, seed: int, max_tokens: int
    ) -> dict[str, Any]:
        refuse_unbound([preset])
        refuse_several_texts(preset)
        if self.presets is None:
            sampling = native_request(preset)
        else:
            known = self.presets.get(preset.name)
            same = known is not None and known.digest == preset.digest
            sampling = {"preset": preset.name} if same else preset.plain()
        return {
            "model": self.name,
            "prompt": list(ids),
            **sampling,
            "seed": seed,
            "max_tokens": max_tokens,
            "logprobs": 0,
            "return_tokens_as_token_ids": True,
        }

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await ask(self._client, "POST", path, json=body)


async def connect(client: httpx.AsyncClient, tokenizer: Any = None) -> Server:
    """The server at the `base_url` of `client`.

    Without a `tokenizer`, that of the served folder is read if this machine has the folder. Raises
    `EngineError` if the server doesn't answer as vLLM does.
    """
    models = await ask(client, "GET", "/v1/models")
    served = models["data"][0]
    answer = await client.get("/v1/presets")
    presets, defaults = None, None
    if answer.is_success:
        listing = answer.json()
        # A request can't name an unbound preset, and its entry lacks the model's numbers.
        bound = [entry for entry in listing["data"] if not entry.get("unbound")]
        presets = Catalogue(
            {entry["name"]: _preset(entry) for entry in bound},
            {alias: entry["name"] for entry in bound for alias in entry["aliases"]},
        )
        defaults = _preset(listing["below"])
    root = served.get("root") or ""
    if tokenizer is None and Path(root, "tokenizer_config.json").is_file():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(root, local_files_only=True)
    return Server(client, served["id"], tokenizer, presets, defaults, root)


def _tokens(choice: Mapping[str, Any]) -> tuple[list[int], list[float]]:
    """The sampled token ids of a choice, and their surprises in nats."""
    logprobs = choice["logprobs"] or {"tokens": [], "token_logprobs": []}
    tokens = [int(key.removeprefix("token_id:")) for key in logprobs["tokens"]]
    return tokens, [-value for value in logprobs["token_logprobs"]]


def _preset(entry: Mapping[str, Any]) -> Preset:
    """A preset of the answer to `GET /v1/presets`."""
    named = ("order", "modes", "start", "switch")
    values = {**entry["parameters"], **entry["generation"]}
    values |= {name: entry[name] for name in named if entry.get(name)}
    return parse_preset(entry["name"], values, where="--server")[0]


async def ask(client: httpx.AsyncClient, method: str, path: str, **arguments: Any) -> Any:
    """The JSON of an answer; `arguments` go to httpx.

    Raises `EngineError` if the server doesn't answer, or refuses.
    """
    try:
        answer = await client.request(method, path, **arguments)
    except httpx.TransportError as error:
        address = shown(str(client.base_url))
        raise EngineError(
            Problem("--server", "", f"doesn't answer: {error}", address, "the URL of a vLLM server")
        ) from error
    if answer.is_error:
        raise refusal(answer)
    return answer.json()


def refusal(answer: httpx.Response) -> EngineError:
    """The error of an answer whose status is 400 or above, with the server's message."""
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = answer.text[:500]
    return EngineError(Problem("server", "", str(message), f"HTTP {answer.status_code}"))


def refuse_several_texts(preset: Preset) -> None:
    """Raises `EngineError` for a preset that asks for more than one text a request."""
    count = preset.generation.get("num_return_sequences", 1)
    if count != 1:
        raise EngineError(
            Problem(
                preset.name,
                "num_return_sequences",
                "the studio reads one text of a request",
                shown(count),
                "1",
            )
        )


def native_request(preset: Preset) -> dict[str, Any]:
    """Returns the fields with which vLLM alone samples by `preset`: those that the preset sets.

    Raises `EngineError` with everything that needs the plugin: modes, stages that vLLM lacks or
    runs in another order, and fields that its completions don't have.
    """
    plan = split_preset(preset, _ENDPOINT.target, "native")
    problems = list(_unable(preset, plan))
    if problems:
        raise EngineError(problems)
    named = {*preset.values, *(name for mode in preset.modes for name in mode.values)}
    if preset.generation.get("do_sample") is False:
        named.add("temperature")
    body = {name: value for name, value in plan.native.items() if name in named}
    return body | _ENDPOINT.target.generation_fields(preset.generation)


def _unable(preset: Preset, plan: PresetPlan) -> Iterator[Problem]:
    """What a server without the plugin can't do, each with the reason."""
    message = "this server runs without the plugin, and vLLM alone can't do it"
    if len(plan.residual.chains) > 1:
        reason = "vLLM doesn't switch modes while it generates"
        yield Problem("--server", "modes", f"{message}: {reason}", allowed=_PLUGIN)
    reasons = {
        decision.step.stage: decision.reason
        for mode_plan in plan.plans.values()
        for decision in mode_plan.decisions
        if decision.side == "residual"
    }
    for stage, reason in reasons.items():
        yield Problem("--server", stage, f"{message}: {reason}", allowed=_PLUGIN)
    for name, value in preset.generation.items():
        reference = BY_FIELD.get(name)
        if name in _ENDPOINT.generation or name == "do_sample":
            continue
        if reference is None or not reference.is_neutral(value):
            reason = _ENDPOINT.target.route(name).reason[0] or "its requests have no such field"
            yield Problem("--server", name, f"vLLM can't do it: {reason}", shown(value))
