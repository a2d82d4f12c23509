"""The playground inside a vLLM server: the page talks to the server that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request

from temperament.presets import Catalogue
from temperament.studio import remote
from temperament.studio.model_source import Source
from temperament.studio.playground import api


def mount(app: FastAPI, catalogue: Catalogue, served: str, tokenizer: Callable[[], Any]) -> None:
    """Adds the page at `/playground/`, and its answers under `/v1/playground` with the API key.

    They are computed by requests to the same app, in this process, with the API key of the page's
    request. `served` is the model that `vllm serve` was started with.
    """

    @asynccontextmanager
    async def opened(request: Request) -> AsyncIterator[Source]:
        key = request.headers.get("authorization")
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://itself",
            headers={"Authorization": key} if key else {},
            timeout=600,
        ) as client:
            yield await remote.connect(client, tokenizer())

    playground = api.Playground(opened, catalogue, served)
    app.include_router(api.page())
    app.include_router(api.data(lambda: playground))
