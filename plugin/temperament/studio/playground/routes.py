"""The page's questions and their answers, as JSON under `/v1/playground`."""

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
# Nothing from elsewhere, no code in the page itself, not inside another page.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_MOST = {"prompt": 100_000, "max_tokens": 4096, "top": 50}
_REMEMBERED = 32  # prompts whose logits are kept


@dataclass
class Playground:
    """What the routes need: how to open the source of a request, and the presets.

    `open` gets the request, since a server's source needs its key. `served` is what `vllm serve`
    is told.
    """

    open: Callable[[Request], AbstractAsyncContextManager[Source]]
    catalogue: Catalogue
    served: str
    # the model's name in a request; "" if it is the source's
    named: str = ""
    _logits: OrderedDict[tuple[int, ...], Logits] = field(default_factory=OrderedDict)

    def remembering(self, source: Source) -> Source:
        """The source, asked once for each prompt: a slider moves many times."""
        return _Remembering(source, self._logits)


class _Remembering:
    """A source whose logits are remembered."""

    def __init__(self, source: Source, known: OrderedDict[tuple[int, ...], Logits]) -> None:
        self.name, self.tokenizer, self.defaults = source.name, source.tokenizer, source.defaults
        self.encode, self.texts, self.generate = source.encode, source.texts, source.generate
        self._source, self._known = source, known

    async def logits(self, ids: Sequence[int]) -> Logits:
        key = tuple(ids)
        if key not in self._known:
            self._known[key] = await self._source.logits(ids)
            while len(self._known) > _REMEMBERED:
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
    """The answers; `playground` returns None until the server has started."""
    routes = APIRouter(prefix="/v1/playground", include_in_schema=False)

    async def answer(request: Request, make: Callable[[Playground, Source, Any], Any]) -> Response:
        ready = playground()
        if ready is None:
            return JSONResponse({"problems": [{"message": "the server is starting"}]}, 503)
        try:
            asked = await _body(request)
            async with ready.open(request) as source:
                return JSONResponse(await make(ready, ready.remembering(source), asked))
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
            asked = await _body(request)
            [preset] = _sides(ready, [asked.get("side")])
        except TemperamentError as error:
            return refusal(error)
        lines = _generate(ready, request, preset, asked)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    return routes


async def _about(ready: Playground, source: Source, _: Any) -> dict[str, Any]:
    return {
        "version": temperament.__version__,
        "model": source.name,
        "presets": [
            {
                "name": preset.name,
                "summary": dict(preset.summary),
                "values": preset.plain(),
                "usable": preset.unbound,
            }
            for preset in ready.catalogue.values()
        ],
        "stages": controls.stages(),
    }


async def _inspect(ready: Playground, source: Source, asked: Mapping[str, Any]) -> dict[str, Any]:
    presets = _sides(ready, asked.get("sides"))
    looked = await inspect(
        source,
        presets,
        _text(asked, "prompt"),
        chat=asked.get("chat") is True,
        seed=_number(asked, "seed", 0, 2**62),
        top=_number(asked, "top", 1, _MOST["top"], 10),
    )
    told = as_json(looked)
    # one list of ways for each side: a preset has one for each mode
    counts = [len(merge(preset, source.defaults).chains) for preset in presets]
    ways = iter(told.pop("presets"))
    told["sides"] = [[next(ways) for _ in range(count)] for count in counts]
    return told


async def _copy(ready: Playground, source: Source, asked: Mapping[str, Any]) -> dict[str, str]:
    [preset] = _sides(ready, [asked.get("side")])
    name = asked.get("name")
    if not isinstance(name, str) or not fields.NAME.fullmatch(name):
        raise PresetError(
            Problem("playground", "name", "not a name", shown(name), fields.NAME_ALLOWED)
        )
    return copying.texts(
        preset,
        name=name,
        model=ready.named or source.name,
        served=ready.served,
        prompt=_text(asked, "prompt"),
        chat=asked.get("chat") is True,
        seed=_number(asked, "seed", 0, 2**62),
        max_tokens=_number(asked, "max_tokens", 1, _MOST["max_tokens"], 64),
    )


async def _generate(
    ready: Playground, request: Request, preset: Preset, asked: Mapping[str, Any]
) -> AsyncIterator[str]:
    """A line of JSON for each token, or one with the problems."""
    try:
        async with ready.open(request) as source:
            ids = await source.encode(_text(asked, "prompt"), chat=asked.get("chat") is True)
            modes = ModeReader(merge(preset, source.defaults), source.tokenizer, ids)
            tokens = source.generate(
                ids,
                preset,
                seed=_number(asked, "seed", 0, 2**62),
                max_tokens=_number(asked, "max_tokens", 1, _MOST["max_tokens"], 64),
            )
            async for drawn in tokens:
                line = {"text": drawn.text, "surprise": drawn.surprise}
                yield json.dumps({**line, "mode": modes.read(drawn.id)}) + "\n"
    except TemperamentError as error:
        yield json.dumps({"problems": told(error)}, ensure_ascii=False) + "\n"


async def _body(request: Request) -> Any:
    if request.method == "GET":
        return {}
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise PresetError(Problem("playground", "", "not a JSON object"))
    return asked


def _sides(ready: Playground, sides: Any) -> list[Preset]:
    """The presets of the page's sides. Each problem's `where` is the side's number."""
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


def _text(asked: Mapping[str, Any], name: str) -> str:
    text = asked.get(name)
    if not isinstance(text, str) or not text or len(text) > _MOST[name]:
        allowed = f"a text of 1 to {_MOST[name]} characters"
        raise PresetError(Problem("playground", name, "not allowed", shown(text), allowed))
    return text


def _number(asked: Mapping[str, Any], name: str, low: int, high: int, default: int = 0) -> int:
    number = asked.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        allowed = f"an integer in [{low}, {high}]"
        raise PresetError(Problem("playground", name, "not allowed", shown(number), allowed))
    return number


def refusal(error: TemperamentError) -> JSONResponse:
    """HTTP 400 with every problem."""
    return JSONResponse({"problems": told(error)}, status_code=400)


def told(error: TemperamentError) -> list[dict[str, Any]]:
    """Problems as JSON: the page shows each where it belongs."""
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
