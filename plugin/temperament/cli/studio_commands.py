"""`inspect`, `plot`, `study`, `playground` and `compare`: the studio's commands.

The studio and its packages are imported when one of these commands runs, since no other command
needs them.
"""

from __future__ import annotations

import argparse
import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from temperament.cli.output import AddCommand, as_json, table
from temperament.errors import EngineError, Problem, TemperamentError, UnknownPreset, shown
from temperament.presets import Catalogue, Preset

if TYPE_CHECKING:
    from temperament.studio.comparison.report import Estimate
    from temperament.studio.model_source import Source

FIGURES = ("raw", "sorted", "entropy", "kept", "map")
_EXTRA = "pip install 'temperament[studio]'"


def add(command: AddCommand, language: str) -> None:
    """Adds the commands to the command line; `language` is the default of `--lang`."""
    parser = command("inspect", inspect, "the next token's distribution after every stage")
    _add_names(parser)
    _add_source(parser)
    _add_prompt(parser, required=True)
    parser.add_argument("--seed", type=int, default=0, help="for random stages (default: 0)")
    parser.add_argument("--top", type=_count, default=20, help="tokens to show (default: 20)")
    _add_results(parser, language)

    parser = command("plot", plot, "figures of temperature, entropy and kept sets")
    source = _add_source(parser)
    source.add_argument("--logits", metavar="FILE", help="a .npy file with one row of logits")
    _add_prompt(parser, required=False)
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder of the figures")
    parser.add_argument("--figure", action="append", choices=FIGURES, help="default: all")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    _add_style(parser, language)

    parser = command("study", study, "which changes the entropy more: temperature or top_p?")
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        dest="models",
        type=_named_folder,
        metavar="[NAME=]DIR",
        help="a folder with weights and tokenizer; may be repeated",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="for entropies and figures")
    parser.add_argument(
        "--each", type=_count, metavar="N", help="contexts of each kind (default: all)"
    )
    _add_style(parser, language)

    parser = command("playground", playground, "serves a page to try presets on, on this machine")
    _add_source(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")

    parser = command("compare", compare, "how presets differ in the texts that a server generates")
    _add_names(parser)
    _add_server(parser, required=True)
    _add_key(parser)
    parser.set_defaults(model=None)
    parser.add_argument("--prompts", required=True, metavar="FILE", help="one prompt a line")
    parser.add_argument("--chat", action="store_true", help="each prompt is a user's message")
    parser.add_argument("--samples", type=_count, default=4, help="of each prompt (default: 4)")
    parser.add_argument("--max-tokens", type=_count, default=128, help="of a text (default: 128)")
    parser.add_argument(
        "--together", type=_count, default=16, help="requests at a time (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first text (default: 0)")
    _add_results(parser, language)


def inspect(arguments: Namespace) -> str:
    """The distribution of the next token before and after every stage of each preset."""
    return _run(_inspect(arguments))


async def _inspect(arguments: Namespace) -> str:
    from temperament.studio import inspection, terminal
    from temperament.studio.figures import draw_inspection

    async with opened(arguments) as (source, catalogue):
        inspected = await inspection.inspect(
            source,
            resolve(arguments.names, catalogue),
            arguments.prompt,
            chat=arguments.chat,
            seed=arguments.seed,
            top=arguments.top,
        )
    for path in filter(None, (arguments.png, arguments.svg)):
        draw_inspection.draw(inspected, path, arguments.theme, arguments.lang)
    if arguments.json:
        return as_json(inspection.as_json(inspected))
    return terminal.show(inspected)


def plot(arguments: Namespace) -> str:
    """The paths of the figures."""
    return _run(_plot(arguments))


async def _plot(arguments: Namespace) -> str:
    from temperament.studio import curves
    from temperament.studio.figures import draw_curves

    if arguments.logits is None and arguments.prompt is None:
        raise EngineError(Problem("--prompt", "", "missing", allowed="a text; or --logits FILE"))
    if arguments.logits is not None:
        row = curves.read_logits(arguments.logits)
    else:
        async with opened(arguments) as (source, _):
            ids = await source.encode(arguments.prompt, chat=arguments.chat)
            row = (await source.logits(ids)).row
    paths = draw_curves.draw_all(
        row,
        arguments.out,
        arguments.figure or list(FIGURES),
        arguments.format,
        arguments.theme,
        arguments.lang,
    )
    return "\n".join(map(str, paths))


def study(arguments: Namespace) -> str:
    """The study's tables, in Markdown. Entropies that `--out` has already are read from there."""
    return _run(_study(arguments))


async def _study(arguments: Namespace) -> str:
    import json
    from pathlib import Path

    from temperament.studio.figures import draw_study
    from temperament.studio.study import analysis, contexts, entropies, tables

    out, texts, models = Path(arguments.out), contexts.load(arguments.each), []
    for name, folder in arguments.models:
        source = local_model(folder)
        source.name = name
        models.append(await entropies.measure(source, texts, out / f"{name}.jsonl"))
    numbers = [analysis.numbers(measured) for measured in models]
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (out / "numbers.json").write_text(f"{text}\n", encoding="utf-8")
    draw_study.draw_all(models, out, arguments.theme, arguments.lang)
    parts = tables.all_tables(numbers, arguments.lang)
    return "\n\n".join(f"{name}\n\n{part}" for name, part in parts.items())


def playground(arguments: Namespace) -> str:
    """Serves the page until it is interrupted; returns an empty text."""
    return _run(_playground(arguments))


async def _playground(arguments: Namespace) -> str:
    import sys

    from temperament.studio.playground import app

    async with opened(arguments) as (source, catalogue):
        page = app.app(source, catalogue, arguments.model or source.name)
        address = f"http://{arguments.host}:{arguments.port}/playground/"
        print(address, file=sys.stderr, flush=True)
        await app.serve(page, arguments.host, arguments.port)
    return ""


def compare(arguments: Namespace) -> str:
    """A table of diversity, surprise, length, loops and speed, with intervals."""
    return _run(_compare(arguments))


async def _compare(arguments: Namespace) -> str:
    from temperament.studio import remote
    from temperament.studio.comparison import collect, report
    from temperament.studio.figures import draw_comparison

    prompts = collect.read_prompts(arguments.prompts)
    async with opened(arguments) as (source, catalogue):
        assert isinstance(source, remote.Server)
        collected = await collect.collect(
            source,
            resolve(arguments.names, catalogue),
            prompts,
            samples=arguments.samples,
            max_tokens=arguments.max_tokens,
            chat=arguments.chat,
            seed=arguments.seed,
            together=arguments.together,
        )
    compared = report.compare(collected)
    for path in filter(None, (arguments.png, arguments.svg)):
        draw_comparison.draw(collected, compared, path, arguments.theme, arguments.lang)
    if arguments.json:
        return as_json(report.as_json(collected, compared))
    first = collected[0].preset.name
    head = ["", *(each.preset.name for each in collected)]
    head += [f"{each.preset.name} - {first}" for each in collected[1:]]
    rows = []
    for each in compared:
        cells = [_interval(estimate) for estimate in (*each.estimates, *each.differences[1:])]
        unit = report.MEASURES[each.measure]
        rows.append([f"{each.measure} ({unit})" if unit else each.measure, *cells])
    return table(rows, head)


def _interval(estimate: Estimate) -> str:
    digits = 1 if abs(estimate.value) >= 10 else 3
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = (f"{number:.{digits}f}" for number in numbers)
    return f"{value} [{low}, {high}]"


def resolve(names: list[str], catalogue: Catalogue) -> list[Preset]:
    """The presets of these names. Raises `UnknownPreset` with every unknown name."""
    presets: list[Preset] = []
    problems: list[Problem] = []
    for name in names:
        try:
            presets.append(catalogue.resolve(name))
        except TemperamentError as error:
            problems += error.problems
    if problems:
        raise UnknownPreset(problems)
    return presets


@asynccontextmanager
async def opened(arguments: Namespace) -> AsyncIterator[tuple[Source, Catalogue]]:
    """The model or the server of `--model` or `--server`, and the presets that can be named.

    A server's presets win over those of this machine that have the same name.
    """
    catalogue = Catalogue.load(arguments.presets)
    if arguments.server is None:
        yield local_model(arguments.model), catalogue.for_model(arguments.model)
        return
    import httpx

    from temperament.studio import remote

    key = {"Authorization": f"Bearer {arguments.api_key}"} if arguments.api_key else {}
    async with httpx.AsyncClient(
        base_url=arguments.server, headers=key, timeout=600, limits=remote.LIMITS
    ) as client:
        server = await remote.connect(client)
        catalogue = catalogue.for_model(server.root)
        if server.presets is not None:
            presets = {**catalogue.presets, **server.presets.presets}
            aliases = {**catalogue.aliases, **server.presets.aliases}
            catalogue = replace(catalogue, presets=presets, aliases=aliases)
        yield server, catalogue


def local_model(folder: str) -> Source:
    """The model in a Transformers folder. Raises `EngineError` if the folder has none."""
    from temperament.studio import local

    model, tokenizer = local.load(folder)
    from temperament.engines.transformers.arguments import model_defaults

    name = folder.rstrip("/").rpartition("/")[2]
    return local.LocalModel(name, model, tokenizer, model_defaults(model))


def _run(command: Coroutine[Any, Any, str]) -> str:
    """The coroutine's result. Raises `EngineError` if a package of the studio is missing."""
    try:
        return asyncio.run(command)
    except ModuleNotFoundError as error:
        raise EngineError(
            Problem("studio", "", f"needs the package {error.name}", allowed=_EXTRA)
        ) from error


def _add_names(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="PRESET", help="a preset's name or alias")


def _add_source(parser: ArgumentParser) -> Any:
    """Adds `--model` and `--server`; returns the group, of which one must be set."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--model", metavar="DIR", help="a folder with weights and tokenizer")
    _add_server(group)
    _add_key(parser)
    return group


def _add_server(parser: Any, *, required: bool = False) -> None:
    """Adds `--server` to a parser or to a group of alternatives."""
    parser.add_argument("--server", required=required, metavar="URL", help="a running vLLM server")


def _add_key(parser: ArgumentParser) -> None:
    parser.add_argument("--api-key", metavar="KEY", help="the server's API key")


def _add_prompt(parser: ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--prompt", required=required, metavar="TEXT")
    parser.add_argument("--chat", action="store_true", help="the prompt is a user's message")


def _add_results(parser: ArgumentParser, language: str) -> None:
    """Adds the options for the forms of a result: JSON, or a figure beside the table."""
    parser.add_argument("--json", action="store_true", help="prints the numbers as JSON")
    parser.add_argument("--png", metavar="FILE", help="also writes a figure")
    parser.add_argument("--svg", metavar="FILE", help="also writes a figure")
    _add_style(parser, language)


def _add_style(parser: ArgumentParser, language: str) -> None:
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of figures")
    parser.add_argument("--lang", choices=("en", "zh"), default=language, help="of figures")


def _named_folder(text: str) -> tuple[str, str]:
    """`NAME=DIR`, or `DIR`, whose last part is then the name."""
    name, equals, folder = text.partition("=")
    if not equals:
        name, folder = text.rstrip("/").rpartition("/")[2], text
    if not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not NAME=DIR, a name and a folder")
    return name, folder


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not an integer in [1, 1000]")
    return int(text)
