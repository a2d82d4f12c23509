"""A middleware for vLLM's `--middleware`: tells the routes of the application around it."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

PATH = "/test/routes"


class ListRoutes:
    """Answers `PATH` with [path, kind, methods] of each route, from the application's own list."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.app(scope, receive, send)
            return
        routes = [
            (route.path, type(route).__name__, sorted(getattr(route, "methods", None) or ()))
            for route in scope["app"].routes
        ]
        await JSONResponse(routes)(scope, receive, send)
