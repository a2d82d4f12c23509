"""The commands that look at models: their words, and how they open what they look at.

The studio and its packages are imported when a command runs: the others need none of them.
"""

from __future__ import annotations

import argparse
import asyncio
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from temperament.cli.text_table import table
from temperament.errors import EngineError, Problem, TemperamentError, UnknownPreset
from temperament.presets import Catalogue, Preset

if TYPE_CHECKING:
    from temperament.studio.model_source import Source

FIGURES = ("raw", "sorted", "entropy", "kept", "map")
_EXTRA = "pip install 'temperament[studio]'"


class Command(Protocol):
    """Makes the parser of one more command."""

    def __call__(
        self, name: str, run: Callable[[Namespace], str], summary: str
    ) -> argparse.ArgumentParser: ...


def add(command: Command, language: str) -> None:
    """Adds the studio's commands."""
    looked = command("inspect", inspect, "a model's next token before and after every stage")
    looked.add_argument("names", nargs="+", metavar="PRESET", help="a preset's name or alias")
    _add_source(looked)
    _add_prompt(looked, required=True)
    looked.add_argument("--seed", type=int, default=0, help="of stages with chance; 0 if not given")
    looked.add_argument("--top", type=_count, default=20, help="tokens shown; 20 if not given")
    looked.add_argument("--json", action="store_true", help="the numbers as JSON")
    looked.add_argument("--png", metavar="FILE", help="draws it")
    looked.add_argument("--svg", metavar="FILE", help="draws it")
    _add_look(looked, language)

    drawn = command("plot", plot, "the distribution's figures: temperature, entropy, kept sets")
    given = _add_source(drawn)
    given.add_argument("--logits", metavar="FILE", help="any logits: a .npy file of one row")
    _add_prompt(drawn, required=False)
    drawn.add_argument("--out", required=True, metavar="DIR", help="the folder of the figures")
    drawn.add_argument("--figure", action="append", choices=FIGURES, help="all if not given")
    drawn.add_argument("--format", choices=("png", "svg"), default="png")
    _add_look(drawn, language)

    studied = command("study", study, "which moves the entropy more: temperature or top_p?")
    studied.add_argument(
        "--model",
        action="append",
        required=True,
        dest="models",
        type=_named_folder,
        metavar="[NAME=]DIR",
        help="a folder with weights and tokenizer; may be repeated",
    )
    studied.add_argument("--out", required=True, metavar="DIR", help="entropies, numbers, figures")
    studied.add_argument(
        "--each", type=_count, metavar="N", help="contexts of each kind; all if not given"
    )
    _add_look(studied, language)

    played = command("playground", playground, "a page to try presets on, on this machine")
    _add_source(played)
    played.add_argument("--host", default="127.0.0.1", help="127.0.0.1 if not given")
    played.add_argument("--port", type=int, default=7860, help="7860 if not given")

    compared = command("compare", compare, "how presets differ in what a server writes")
    compared.add_argument("names", nargs="+", metavar="PRESET", help="a preset's name or alias")
    compared.add_argument("--server", required=True, metavar="URL", help="a running vLLM server")
    compared.add_argument("--api-key", metavar="KEY", help="the server's")
    compared.set_defaults(model=None)
    compared.add_argument("--prompts", required=True, metavar="FILE", help="one prompt a line")
    compared.add_argument("--chat", action="store_true", help="prompts are users' messages")
    compared.add_argument("--samples", type=_count, default=4, help="of each prompt; 4")
    compared.add_argument("--max-tokens", type=_count, default=128, help="of each text; 128")
    compared.add_argument("--together", type=_count, default=16, help="requests at a time; 16")
    compared.add_argument("--seed", type=int, default=0, help="of the first text; 0")
    compared.add_argument("--json", action="store_true", help="the numbers as JSON")
    compared.add_argument("--png", metavar="FILE", help="draws it")
    compared.add_argument("--svg", metavar="FILE", help="draws it")
    _add_look(compared, language)


def inspect(words: Namespace) -> str:
    """The distribution of the next token before and after every stage of each preset."""
    return _studio(_inspect(words))


async def _inspect(words: Namespace) -> str:
    import json

    from temperament.studio import inspection, terminal
    from temperament.studio.figures import draw_inspection

    async with opened(words) as (source, catalogue):
        presets = resolve(words.names, catalogue)
        looked = await inspection.inspect(
            source, presets, words.prompt, chat=words.chat, seed=words.seed, top=words.top
        )
    for path in filter(None, (words.png, words.svg)):
        draw_inspection.draw(looked, path, words.theme, words.lang)
    if words.json:
        return json.dumps(inspection.as_json(looked), ensure_ascii=False, indent=2)
    return terminal.show(looked)


def plot(words: Namespace) -> str:
    """The paths of the figures that were drawn."""
    return _studio(_plot(words))


async def _plot(words: Namespace) -> str:
    from temperament.studio import curves
    from temperament.studio.figures import draw_curves

    if words.logits is None and words.prompt is None:
        raise EngineError(Problem("--prompt", "", "missing", allowed="a text; or --logits FILE"))
    if words.logits is not None:
        row = curves.read_logits(words.logits)
    else:
        async with opened(words) as (source, _):
            row = (await source.logits(await source.encode(words.prompt, chat=words.chat))).row
    names = words.figure or list(FIGURES)
    paths = draw_curves.draw_all(row, words.out, names, words.format, words.theme, words.lang)
    return "\n".join(map(str, paths))


def study(words: Namespace) -> str:
    """The study's tables, in Markdown. What `--out` has already isn't computed again."""
    return _studio(_study(words))


async def _study(words: Namespace) -> str:
    import json
    from pathlib import Path

    from temperament.studio.figures import draw_study
    from temperament.studio.study import analysis, contexts, entropies, tables

    out, texts, models = Path(words.out), contexts.load(words.each), []
    for name, folder in words.models:
        source = local_model(folder)
        source.name = name
        models.append(await entropies.measure(source, texts, out / f"{name}.jsonl"))
    numbers = [analysis.numbers(measured) for measured in models]
    written = json.dumps(numbers, indent=1, ensure_ascii=False)
    (out / "numbers.json").write_text(f"{written}\n", encoding="utf-8")
    draw_study.draw_all(models, out, words.theme, words.lang)
    made = tables.all_tables(numbers, words.lang)
    return "\n\n".join(f"{name}\n\n{table}" for name, table in made.items())


def playground(words: Namespace) -> str:
    """Nothing, once the page isn't served any more."""
    return _studio(_playground(words))


async def _playground(words: Namespace) -> str:
    import sys

    from temperament.studio.playground import app

    async with opened(words) as (source, catalogue):
        made = app.app(source, catalogue, words.model or source.name)
        print(f"http://{words.host}:{words.port}/playground/", file=sys.stderr, flush=True)
        await app.serve(made, words.host, words.port)
    return ""


def compare(words: Namespace) -> str:
    """A table of diversity, surprise, length, loops and speed, with intervals."""
    return _studio(_compare(words))


async def _compare(words: Namespace) -> str:
    import json

    from temperament.studio import remote
    from temperament.studio.comparison import collect, report
    from temperament.studio.figures import draw_comparison

    prompts = collect.read_prompts(words.prompts)
    async with opened(words) as (source, catalogue):
        assert isinstance(source, remote.Server)
        collected = await collect.collect(
            source,
            resolve(words.names, catalogue),
            prompts,
            samples=words.samples,
            max_tokens=words.max_tokens,
            chat=words.chat,
            seed=words.seed,
            together=words.together,
        )
    compared = report.compare(collected)
    for path in filter(None, (words.png, words.svg)):
        draw_comparison.draw(collected, compared, path, words.theme, words.lang)
    if words.json:
        return json.dumps(report.as_json(collected, compared), ensure_ascii=False, indent=2)
    head = ["", *(each.preset.name for each in collected)]
    head += [f"{each.preset.name} - {collected[0].preset.name}" for each in collected[1:]]
    rows = []
    for each in compared:
        cells = [_told(estimate) for estimate in (*each.estimates, *each.differences[1:])]
        unit = report.MEASURES[each.measure]
        rows.append([f"{each.measure} ({unit})" if unit else each.measure, *cells])
    return table(rows, head)


def _told(estimate: Any) -> str:
    parts = (estimate.value, estimate.low, estimate.high)
    digits = 1 if abs(estimate.value) >= 10 else 3
    value, low, high = (f"{part:.{digits}f}" for part in parts)
    return f"{value} [{low}, {high}]"


def resolve(names: list[str], catalogue: Catalogue) -> list[Preset]:
    """The presets of these names. Raises `PresetError` with every unknown one."""
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
async def opened(words: Namespace) -> AsyncIterator[tuple[Source, Catalogue]]:
    """The model or the server that `words` name, and the presets that can be named there."""
    catalogue = Catalogue.load(words.presets)
    if words.server is None:
        yield local_model(words.model), catalogue.for_model(words.model)
        return
    import httpx

    from temperament.studio import remote

    key = {"Authorization": f"Bearer {words.api_key}"} if words.api_key else {}
    async with httpx.AsyncClient(base_url=words.server, headers=key, timeout=600) as client:
        server = await remote.connect(client)
        catalogue = catalogue.for_model(server.root)
        if server.presets is not None:  # the server's own presets win over ours of the same name
            presets = {**catalogue.presets, **server.presets.presets}
            aliases = {**catalogue.aliases, **server.presets.aliases}
            catalogue = replace(catalogue, presets=presets, aliases=aliases)
        yield server, catalogue


def local_model(folder: str) -> Source:
    """The model in a Transformers folder, its own values below every preset."""
    from temperament.studio import local

    model, tokenizer = local.load(folder)
    from temperament.engines.transformers import model_defaults

    name = folder.rstrip("/").rpartition("/")[2]
    return local.LocalModel(name, model, tokenizer, model_defaults(model))


def _studio(work: Any) -> str:
    """What the coroutine answers. A missing package is told as what to install."""
    try:
        return str(asyncio.run(work))
    except ModuleNotFoundError as error:
        raise EngineError(
            Problem("studio", "", f"needs the package {error.name}", allowed=_EXTRA)
        ) from error


def _add_source(parser: argparse.ArgumentParser) -> Any:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="DIR", help="a folder with weights and tokenizer")
    source.add_argument("--server", metavar="URL", help="a running vLLM server")
    parser.add_argument("--api-key", metavar="KEY", help="the server's")
    return source


def _add_prompt(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--prompt", required=required, metavar="TEXT")
    parser.add_argument("--chat", action="store_true", help="the prompt is a user's message")


def _add_look(parser: argparse.ArgumentParser, language: str) -> None:
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of figures")
    parser.add_argument("--lang", choices=("en", "zh"), default=language, help="of figures")


def _named_folder(text: str) -> tuple[str, str]:
    name, is_named, folder = text.partition("=")
    if not is_named:
        name, folder = text.rstrip("/").rpartition("/")[2], text
    if not name or "/" in name:
        raise argparse.ArgumentTypeError("not a name and a folder, NAME=DIR")
    return name, folder


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError("not in [1, 1000]")
    return number
