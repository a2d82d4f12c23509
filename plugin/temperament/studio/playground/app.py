"""The playground alone: `temperament playground`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from temperament.presets import Catalogue
from temperament.studio.model_source import Source
from temperament.studio.playground import api


def app(source: Source, catalogue: Catalogue, served: str) -> FastAPI:
    """The page at `/playground/`, for one source.

    `served` is the model that `vllm serve` would get, and the model's name in requests to it.
    """

    @asynccontextmanager
    async def opened(_: Request) -> AsyncIterator[Source]:
        yield source

    playground = api.Playground(opened, catalogue, served, served)
    application = FastAPI(
        title="Temperament playground", docs_url=None, redoc_url=None, openapi_url=None
    )
    application.include_router(api.page())
    application.include_router(api.data(lambda: playground))

    @application.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("/playground/")

    return application


async def serve(app: FastAPI, host: str, port: int) -> None:
    """Serves until it is interrupted."""
    config = uvicorn.Config(app, host=host, port=port, log_level="warning")
    await uvicorn.Server(config).serve()
