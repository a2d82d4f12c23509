"""Sends a request, reads the sampled tokens, and compares them with the same request alone."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
from scripts.lib.soak.requests import Request

# At each position: the token and the model's most likely tokens with their log-probabilities.
Drawn = list[list[tuple[int, dict[str, float]]]]


async def send(client: httpx.AsyncClient, request: Request) -> tuple[int | str, str, Drawn]:
    """(status, the message of a refusal or of a failure, the tokens of each sample)."""
    sent = {name: quote(text) for name, text in request.headers.items()}
    drawn: Drawn = []
    async with client.stream("POST", request.path, json=request.body, headers=sent) as answer:
        if answer.status_code != 200:
            return answer.status_code, (await answer.aread()).decode()[:500], drawn
        if not request.body["stream"]:
            _collect(json.loads(await answer.aread()), drawn)
            return 200, "", drawn
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event or event.get("type") == "error":
                return "error in a stream", line[:500], drawn
            _collect(event, drawn)
    return 200, "", drawn


def _collect(event: Mapping[str, Any], drawn: Drawn) -> None:
    for choice in event.get("choices", ()):
        while len(drawn) <= choice["index"]:
            drawn.append([])
        tops = (choice.get("logprobs") or {}).get("top_logprobs") or []
        drawn[choice["index"]] += zip(choice.get("token_ids") or [], tops, strict=False)


async def attempt(client: httpx.AsyncClient, request: Request) -> tuple[int | str, str, Drawn]:
    """Sends a request, and goes away when it is time."""
    try:
        async with asyncio.timeout(request.leaves):
            return await send(client, request)
    except TimeoutError:
        return "client went away", "", []
    except httpx.HTTPError as error:
        return type(error).__name__, str(error), []


def parting(together: list[Any], alone: list[Any], remembers: bool) -> str:
    """What became of a sample alone: `same`, `the model's logits differ`, or `parted`.

    With equal tokens before it, a token may differ only where the model's distribution does;
    or did before, for what remembers more than tokens.
    """
    differed = False
    for (token, top), (other, other_top) in zip(together, alone, strict=False):
        here = top != other_top
        differed = differed or here
        if token != other:
            return "the model's logits differ" if (differed if remembers else here) else "parted"
    if len(together) == len(alone):
        return "same, though logits differ" if differed else "same, and so are the logits"
    return "parted"


async def metrics(client: httpx.AsyncClient) -> Counter[str]:
    """vLLM's numbers, summed over their labels."""
    found: Counter[str] = Counter()
    for line in (await client.get("/metrics")).text.splitlines():
        name, _, value = line.rpartition(" ")
        if not line.startswith("#"):
            found[name.partition("{")[0]] += float(value)  # type: ignore[assignment]
    return found
