"""Runs the cases in this process and measures what each refusal costs."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import torch
from integration_tests.harness import hostile
from integration_tests.harness.hostile import File, Request
from scripts.lib.fuzz.door import Door, Outcome, load
from scripts.lib.fuzz.report import Report
from scripts.lib.fuzz.worker import Worker
from tqdm import tqdm

from temperament.plan.wire import KEY

SECONDS = 0.1
# or so many times as long as reading the body as JSON, of which 10 MB take 40 ms and more
READINGS = 4
BYTES = 64 * 2**20


def cases(seed: int, count: int) -> Iterator[Request | File]:
    """So many cases: every field with every value once, among random ones."""
    random = Random(seed)
    grid: list[Callable[[], Request | File]] = [*hostile.grid(), *hostile.file_grid()]
    random.shuffle(grid)
    for _ in range(count):
        if grid and random.random() < 0.5:
            yield grid.pop()()
        elif random.random() < 0.75:
            yield hostile.request(random)
        else:
            yield hostile.file(random)


def run(options: argparse.Namespace, report: Report) -> None:
    """Everything in this process."""
    torch.set_num_threads(1)
    random = Random(options.seed)
    door = Door()
    worker = Worker(door.tokens, random)
    kinds: Counter[str] = Counter()
    end = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        door.ask(Request("warm", b'{"preset": "chat", "typical_p": 2}'))
        load(File("warm", b"typical_p: 2"), folder)
        bar = tqdm(
            cases(options.seed, options.count), total=options.count, desc="fuzz", mininterval=2
        )
        for number, case in enumerate(bar):
            if time.monotonic() > end:
                break
            kinds[f"{'file' if isinstance(case, File) else 'request'}: {case.kind}"] += 1

            def attempt(case: Request | File = case) -> Outcome:
                return load(case, folder) if isinstance(case, File) else door.ask(case)

            begin = time.process_time()
            try:
                outcome = attempt()
            except Exception as error:
                report.fail(f"{type(error).__name__}: {str(error)[:300]}", case)
                continue
            seconds = time.process_time() - begin
            setattr(report, outcome.kind, getattr(report, outcome.kind) + 1)
            weigh = len(case.raw) > 100_000 or seconds > SECONDS / 2 or number % 100 == 0
            if outcome.kind == "refused":
                measure(report, case, attempt, seconds, weigh)
            elif outcome.body is not None:
                text = (outcome.body.get("vllm_xargs") or {}).get(KEY)
                if isinstance(text, str):
                    try:
                        report.drawn += worker.draw(text)
                    except Exception as error:
                        report.fail(f"below the door: {type(error).__name__}: {error}", case)
                        worker = Worker(door.tokens, random)
    report.cases = dict(kinds)


def measure(
    report: Report,
    case: Request | File,
    attempt: Callable[[], Outcome],
    seconds: float,
    weigh: bool,
) -> None:
    """What a refusal cost: the least of three times, if one was too long; its memory."""
    allowed = SECONDS
    if seconds > SECONDS:
        allowed = max(SECONDS, READINGS * _reading(case.raw))
    for _ in range(2):
        if seconds > allowed:
            seconds = min(seconds, _time_of(attempt))
    report.slowest = max(report.slowest, round(seconds * 1000, 1))
    if seconds > allowed:
        report.fail(f"a refusal of {seconds * 1000:.0f} ms, {len(case.raw)} bytes", case)
    if not weigh:
        return
    report.weighed += 1
    tracemalloc.start()
    attempt()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    report.largest = max(report.largest, round(peak / 2**20, 1))
    if peak > BYTES:
        report.fail(f"a refusal of {peak / 2**20:.0f} MiB, {len(case.raw)} bytes", case)


def _time_of(work: Callable[[], object]) -> float:
    """Returns how many seconds of a processor it takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _reading(raw: bytes) -> float:
    """Returns how long it takes to read the bytes as JSON, up to where they are none."""

    def read() -> None:
        with suppress(ValueError, RecursionError):
            json.loads(raw)

    return _time_of(read)
