"""The answers to the page, as JSON under `/v1/playground`."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

import temperament
from temperament.errors import PresetError, Problem, TemperamentError, shown
from temperament.presets import Catalogue, Preset, fields
from temperament.presets.drawn import drawn_temperatures
from temperament.presets.groups import in_groups
from temperament.presets.resolve import merge, parse
from temperament.studio.inspection import as_json, inspect
from temperament.studio.model_source import Logits, Source
from temperament.studio.playground import controls, copying
from temperament.studio.playground.mode_reader import ModeReader

PAGE = Path(__file__).with_name("page")
FILES = {
    "": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "bars.js": "text/javascript",
    "stages.js": "text/javascript",
    "words.js": "text/javascript",
}
# Nothing is loaded from elsewhere, no code runs inside the HTML, and no other page embeds this one.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_MOST = {"prompt": 100_000, "max_tokens": 4096, "top": 50}
_KEPT = 32  # prompts whose logits are kept


@dataclass
class Playground:
    """What the routes need: the source of a request, and the presets.

    `open` gets the request, since a server's source needs its API key. `served` is the model that
    `vllm serve` gets.
    """

    open: Callable[[Request], AbstractAsyncContextManager[Source]]
    catalogue: Catalogue
    served: str
    # the model's name in a request; "" for the source's name
    named: str = ""
    _logits: OrderedDict[tuple[int, ...], Logits] = field(default_factory=OrderedDict)

    def with_kept_logits(self, source: Source) -> Source:
        """The source with its logits kept for each prompt, since a slider moves many times."""
        return _KeepsLogits(source, self._logits)


class _KeepsLogits:
    """A source that keeps the logits of the last prompts."""

    def __init__(self, source: Source, known: OrderedDict[tuple[int, ...], Logits]) -> None:
        self.name, self.tokenizer, self.defaults = source.name, source.tokenizer, source.defaults
        self.encode, self.texts, self.generate = source.encode, source.texts, source.generate
        self._source, self._known = source, known

    async def logits(self, ids: Sequence[int]) -> Logits:
        key = tuple(ids)
        if key not in self._known:
            self._known[key] = await self._source.logits(ids)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def page() -> APIRouter:
    """The page itself, under `/playground/`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/playground")
    async def redirect(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/playground/")

    @routes.get("/playground/{name:path}")
    async def file(name: str) -> Response:
        if name not in FILES:
            return JSONResponse({"problems": [{"message": "no such file"}]}, 404)
        path = PAGE / (name or "index.html")
        return FileResponse(path, media_type=FILES[name], headers=_HEADERS)

    return routes


def data(playground: Callable[[], Playground | None]) -> APIRouter:
    """The routes of the answers; `playground` returns None until the server has started."""
    routes = APIRouter(prefix="/v1/playground", include_in_schema=False)

    async def answer(
        request: Request, respond: Callable[[Playground, Source, Any], Any]
    ) -> Response:
        ready = playground()
        if ready is None:
            return JSONResponse({"problems": [{"message": "the server is starting"}]}, 503)
        try:
            body = await _body(request)
            async with ready.open(request) as source:
                return JSONResponse(await respond(ready, ready.with_kept_logits(source), body))
        except TemperamentError as error:
            return refusal(error)

    @routes.get("/about")
    async def about(request: Request) -> Response:
        return await answer(request, _about)

    @routes.post("/inspect")
    async def inspected(request: Request) -> Response:
        return await answer(request, _inspect)

    @routes.post("/copy")
    async def copied(request: Request) -> Response:
        return await answer(request, _copy)

    @routes.post("/generate")
    async def generated(request: Request) -> Response:
        ready = playground()
        if ready is None:
            return JSONResponse({"problems": [{"message": "the server is starting"}]}, 503)
        try:
            body = await _body(request)
            [preset] = _sides(ready, [body.get("side")])
        except TemperamentError as error:
            return refusal(error)
        lines = _generate(ready, request, preset, body)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    return routes


async def _about(ready: Playground, source: Source, _: Any) -> dict[str, Any]:
    return {
        "version": temperament.__version__,
        "model": source.name,
        "presets": [
            {
                "name": preset.name,
                "group": group.title,
                # at what temperature it is drawn: "deepseek-api 1.3 at 0.6 (chat)"
                "drawn": drawn_temperatures([preset]),
                "summary": dict(preset.summary),
                "values": preset.drawn.plain(),
                "unbound": preset.unbound,
            }
            for group, presets in in_groups(ready.catalogue.values())
            for preset in presets
        ],
        "stages": controls.stages(),
    }


async def _inspect(ready: Playground, source: Source, body: Mapping[str, Any]) -> dict[str, Any]:
    presets = _sides(ready, body.get("sides"))
    inspected = await inspect(
        source,
        presets,
        _text(body, "prompt"),
        chat=body.get("chat") is True,
        seed=_number(body, "seed", 0, 2**62),
        top=_number(body, "top", 1, _MOST["top"], 10),
    )
    content = as_json(inspected)
    # one list for each side, with an entry for each mode of its preset
    counts = [len(merge(preset, model_values=source.defaults).chains) for preset in presets]
    inspected_modes = iter(content.pop("presets"))
    content["sides"] = [[next(inspected_modes) for _ in range(count)] for count in counts]
    return content


async def _copy(ready: Playground, source: Source, body: Mapping[str, Any]) -> dict[str, str]:
    [preset] = _sides(ready, [body.get("side")])
    name = body.get("name")
    if not isinstance(name, str) or not fields.NAME.fullmatch(name):
        raise PresetError(
            Problem("playground", "name", "not a name", shown(name), fields.NAME_ALLOWED)
        )
    return copying.texts(
        preset,
        name=name,
        model=ready.named or source.name,
        served=ready.served,
        prompt=_text(body, "prompt"),
        chat=body.get("chat") is True,
        seed=_number(body, "seed", 0, 2**62),
        max_tokens=_number(body, "max_tokens", 1, _MOST["max_tokens"], 64),
    )


async def _generate(
    ready: Playground, request: Request, preset: Preset, body: Mapping[str, Any]
) -> AsyncIterator[str]:
    """A line of JSON for each token; the last line may have problems instead."""
    try:
        async with ready.open(request) as source:
            ids = await source.encode(_text(body, "prompt"), chat=body.get("chat") is True)
            layered = merge(preset, model_values=source.defaults)
            modes = ModeReader(layered, source.tokenizer, ids)
            tokens = source.generate(
                ids,
                preset,
                seed=_number(body, "seed", 0, 2**62),
                max_tokens=_number(body, "max_tokens", 1, _MOST["max_tokens"], 64),
            )
            async for drawn in tokens:
                line = {"text": drawn.text, "surprise": drawn.surprise}
                yield json.dumps({**line, "mode": modes.read(drawn.id)}) + "\n"
    except TemperamentError as error:
        yield json.dumps({"problems": problems_as_json(error)}, ensure_ascii=False) + "\n"


async def _body(request: Request) -> Any:
    if request.method == "GET":
        return {}
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise PresetError(Problem("playground", "", "not a JSON object"))
    return body


def _sides(ready: Playground, sides: Any) -> list[Preset]:
    """The presets of the page's sides. A problem's `where` is the number of its side."""
    if not isinstance(sides, list) or not 1 <= len(sides) <= 4:
        raise PresetError(Problem("playground", "sides", "not a list of 1 to 4 presets"))
    presets: list[Preset] = []
    problems: list[Problem] = []
    for place, side in enumerate(sides):
        try:
            presets.append(parse(side, ready.catalogue, name="playground", where=str(place)))
        except PresetError as error:
            problems += error.problems
    if problems:
        raise PresetError(problems)
    return presets


def _text(body: Mapping[str, Any], name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str) or not text or len(text) > _MOST[name]:
        allowed = f"a text of 1 to {_MOST[name]} characters"
        raise PresetError(Problem("playground", name, "not allowed", shown(text), allowed))
    return text


def _number(body: Mapping[str, Any], name: str, low: int, high: int, default: int = 0) -> int:
    number = body.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        allowed = f"an integer in [{low}, {high}]"
        raise PresetError(Problem("playground", name, "not allowed", shown(number), allowed))
    return number


def refusal(error: TemperamentError) -> JSONResponse:
    """HTTP 400 with every problem."""
    return JSONResponse({"problems": problems_as_json(error)}, status_code=400)


def problems_as_json(error: TemperamentError) -> list[dict[str, Any]]:
    """The problems as JSON; the page shows each at the control that it is about."""
    return [
        {
            "where": problem.where,
            "path": problem.path,
            "message": problem.message,
            "given": problem.given,
            "allowed": problem.allowed,
            "nearest": list(problem.nearest),
        }
        for problem in error.problems
    ]
