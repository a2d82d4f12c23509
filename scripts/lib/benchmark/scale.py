"""Many presets at once: admission, reloading, tables, and steps of rows with presets of their own.

Times are the processor's, so that other work on the machine doesn't count, but for requests while
the files are read again: what they wait for counts too.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import torch
from integration_tests.harness.models import model_path
from transformers import AutoTokenizer

from temperament import Catalogue, Run
from temperament.plan.automata import cache
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import as_preset
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS

CHAT = ENDPOINTS["/v1/chat/completions"]
NOTHING = Catalogue({})


@dataclass(frozen=True)
class Size:
    """How much of everything is measured."""

    files: int = 1000
    with_modes: int = 40
    requests: int = 100_000
    tables: int = 64
    tokens: int = 262_144
    rows: int = 512
    vocabulary: int = 8_192
    distinct: tuple[int, ...] = (1, 8, 64, 512)
    steps: int = 12


QUICK = Size(40, 4, 300, 4, 2_000, 8, 2_000, (1, 8), 3)


def run_scale(quick: bool) -> dict[str, Any]:
    """Returns the size of what was measured, and the numbers of each part."""
    size = QUICK if quick else Size()
    with (
        tempfile.TemporaryDirectory() as empty,  # so that each table is built
        patch.object(cache, "folder", lambda: Path(empty)),
    ):
        return {
            "month": time.strftime("%Y-%m"),
            "size": asdict(size),
            "admission": admissions(size),
            "tables": tables(size),
            "steps": steps(size),
        }


def switching(number: int) -> dict[str, Any]:
    """A preset whose modes wait for a text of its own."""
    mark = f"<m{number}>"
    return {
        "modes": {"text": {"temperature": 0.5 + number / 2000}, "code": {"temperature": 0.1}},
        "switch": [
            {"from": "text", "on": {"text": ["```", mark]}, "to": "code"},
            {"from": "code", "on": {"text": "```"}, "to": "back"},
        ],
    }


def preset_files(size: Size) -> list[str]:
    """The text of each preset file: JSON, which is YAML too."""
    return [
        json.dumps(
            switching(number)
            if number < size.with_modes
            else {"temperature": 0.5 + number / 2000, "top_p": 0.9}
        )
        for number in range(size.files)
    ]


def admissions(size: Size) -> dict[str, Any]:
    """Reads the files, admits requests for presets at random, and again while they are read."""
    known = TokenBytes(tuple(bytes([byte]) for byte in range(256)))
    names = [f"p{number}" for number in range(size.files)]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in zip(names, preset_files(size), strict=True):
            (Path(folder) / f"{name}.yaml").write_text(text)

        def read() -> Admission:
            catalogue = Catalogue.load([folder], environment=False)
            return Admission(catalogue, vocabulary=256, tokens=lambda: known)

        begin = time.thread_time()
        current = [read()]
        numbers: dict[str, Any] = {"reading, s": time.thread_time() - begin}
        first = timed(names, lambda: current[0], time.thread_time)
        drawn = Random(1).choices(names, k=size.requests)
        before = resident()
        later = timed(drawn, lambda: current[0], time.thread_time)
        numbers["growth, MB"] = resident() - before
        stop = threading.Event()
        readings: list[float] = []

        def reload() -> None:
            while not stop.is_set():
                begin = time.perf_counter()
                current[0] = read()
                readings.append(time.perf_counter() - begin)

        thread = threading.Thread(target=reload)
        thread.start()
        meanwhile = timed(drawn[: size.requests // 5], lambda: current[0], time.perf_counter)
        stop.set()
        thread.join()
    numbers["reading meanwhile, s"] = statistics.median(readings)
    numbers["microseconds"] = {
        "first request for each preset": spread(first),
        "later requests": spread(later),
        "while the files are read": spread(meanwhile),
    }
    return numbers


def timed(
    names: Sequence[str], admission: Callable[[], Admission], clock: Callable[[], float]
) -> list[float]:
    """The microseconds in which each request for a preset is admitted."""
    taken = []
    for name in names:
        body = {
            "model": "m",
            "messages": [{"role": "user", "content": "Hello"}],
            "preset": name,
        }
        begin = clock()
        admission().admit(body, None, CHAT)
        taken.append((clock() - begin) * 1e6)
    return taken


def spread(taken: list[float]) -> dict[str, float]:
    """Median, 99th percentile and longest."""
    ordered = sorted(taken)
    return {
        "p50": statistics.median(ordered),
        "p99": ordered[len(ordered) * 99 // 100],
        "longest": ordered[-1],
    }


def resident() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tables(size: Size) -> dict[str, float]:
    """The tables of presets with modes over one vocabulary of words at random."""
    random = Random(2)
    letters = [bytes([byte]) for byte in range(256)]
    words = {bytes(random.choices(b"abcdefgh`\n <>m0123456789", k=6)) for _ in range(size.tokens)}
    known = TokenBytes(tuple([*letters, *sorted(words)][: size.tokens]))
    taken, weights = [], []
    for number in range(size.tables):
        rules = Switching.of(as_preset(switching(number), NOTHING))
        assert rules is not None
        begin = time.thread_time()
        table = mode_automaton(rules, known).triggers.tokens
        taken.append(time.thread_time() - begin)
        weights.append(sum(getattr(part, "nbytes", 0) for part in vars(table).values()))
    return {
        "MB": sum(weights) / 2**20,
        "first, s": taken[0],
        "later, s": statistics.median(taken[1:]),
    }


def steps(size: Size) -> dict[int, dict[str, float]]:
    """A step of many rows by the number of different presets with modes among them."""
    torch.set_num_threads(1)  # whose time is measured
    tokenizer: Any = AutoTokenizer.from_pretrained(model_path("tiny"))
    vocabulary = max(size.vocabulary, len(tokenizer))
    logits = torch.randn(size.rows, vocabulary, generator=torch.Generator().manual_seed(0))
    found = {}
    for distinct in size.distinct:
        presets = [as_preset(switching(row % distinct), NOTHING) for row in range(size.rows)]
        begin = time.thread_time()
        run = Run(presets, tokenizer=tokenizer)
        taken = []
        for step in range(size.steps):
            fresh = logits.clone()
            begun = time.thread_time()
            run.run(fresh)
            run.accept(torch.full((size.rows,), 65 + step))
            taken.append(time.thread_time() - begun)
            if not step:
                start = time.thread_time() - begin
        found[distinct] = {"step, ms": statistics.median(taken) * 1000, "start, s": start}
    return found


def scale_table(numbers: dict[str, Any]) -> str:
    """Markdown: a table for admission, and one for the steps."""
    size, admission, weight = numbers["size"], numbers["admission"], numbers["tables"]
    lines = ["| admission, microseconds | median | 99 % | longest |", "| --- | --- | --- | --- |"]
    for name, found in admission["microseconds"].items():
        lines.append(
            f"| {name} | {found['p50']:.0f} | {found['p99']:.0f} | {found['longest']:.0f} |"
        )
    lines += [
        "",
        f"{size['files']:,} files are read in {admission['reading, s']:.2f} s of the processor, "
        f"{admission['reading meanwhile, s']:.2f} s beside requests.",
        f"{size['requests']:,} requests take {admission['growth, MB']:.1f} MB of memory.",
        f"{size['tables']} presets with modes over {size['tokens']:,} tokens take "
        f"{weight['MB']:.0f} MB; {weight['first, s']:.2f} s for the first, "
        f"{weight['later, s']:.2f} s for each other.",
        "",
        f"| presets in {size['rows']} rows | a step, ms | until after the first, s |",
        "| --- | --- | --- |",
    ]
    for distinct, found in numbers["steps"].items():
        lines.append(f"| {distinct} | {found['step, ms']:.1f} | {found['start, s']:.2f} |")
    return "\n".join(lines)
