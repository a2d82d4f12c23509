"""Preset files on a slow disk: how long they take to read, and requests while a disk stalls."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from prometheus_client import CollectorRegistry
from scripts.lib.benchmark.scale import QUICK, Size, preset_files, switching

from temperament import Catalogue
from temperament.plan.automata import cache
from temperament.plan.vocabulary import TokenBytes
from temperament.server import served
from temperament.server.admission import Admission
from temperament.server.metrics import Metrics
from temperament.server.middleware import PresetMiddleware
from temperament.server.served import Served

PATH = "/v1/chat/completions"
WAITING = 16  # requests whose tables the stalled disk may have
PAUSE = 0.001  # seconds between two requests
LOG = logging.getLogger(__name__)


class SlowDisk:
    """Makes each look at a folder's files slower, in this process; counts the looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.seconds = 0.0
        self.looks = 0
        self.answers = threading.Event()  # cleared: the disk stalls
        self.answers.set()

    def look(self, path: Any) -> None:
        """Takes the time of a look, if the path is in the folder."""
        if isinstance(path, (str, Path)) and str(path).startswith(self.folder):
            self.looks += 1
            time.sleep(self.seconds)
            self.answers.wait()

    def stall(self, seconds: float) -> asyncio.Task[Any]:
        """Gives no answer for some seconds; the task is done when it gives one again."""
        self.answers.clear()
        # From a thread: a loop that waits for the disk couldn't end the stall.
        threading.Timer(seconds, self.answers.set).start()

        async def stalled() -> None:
            while not self.answers.is_set():
                await asyncio.sleep(PAUSE)

        return asyncio.create_task(stalled())

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Slows down what Python's file functions do with the folder's files."""

        def slowed(function: Any) -> Any:
            def call(path: Any = ".", *arguments: Any, **named: Any) -> Any:
                self.look(path)
                return function(path, *arguments, **named)

            return call

        with (
            patch.object(os, "stat", slowed(os.stat)),
            patch.object(os, "listdir", slowed(os.listdir)),
            patch.object(os, "scandir", slowed(os.scandir)),
            patch.object(io, "open", slowed(io.open)),
        ):
            yield


def run_disk(quick: bool) -> dict[str, Any]:
    """Reads the files of `scale`, and admits requests meanwhile. Returns times and counts.

    A look at a file takes 2 ms more; then the disk stalls for three seconds, first that of the
    preset files, then that of the tables.
    """
    size = QUICK if quick else Size()
    texts, seconds, stall = preset_files(size), 0.0001 if quick else 0.002, 0.2 if quick else 3
    with tempfile.TemporaryDirectory() as name:
        folder, past = Path(name), time.time() - 100
        for number, text in enumerate(texts):
            file = folder / f"p{number}.yaml"
            file.write_text(text, encoding="utf-8")
            os.utime(file, (past, past))  # so that it counts as unchanged
        disk = SlowDisk(folder)
        disk.seconds = seconds
        with disk.mounted():
            return asyncio.run(_measure(disk, folder, len(texts), stall))


async def _measure(disk: SlowDisk, folder: Path, files: int, stall: float) -> dict[str, Any]:
    known = TokenBytes(tuple(bytes([byte]) for byte in range(256)))

    def build() -> Admission:
        catalogue = Catalogue.load([folder], environment=False)
        return Admission(catalogue, vocabulary=256, tokens=lambda: known)

    numbers: dict[str, Any] = {"month": time.strftime("%Y-%m")}
    server = Served()

    def timed(name: str, start: float, looks: int) -> None:
        numbers[name] = {"s": time.perf_counter() - start, "looks": disk.looks - looks}

    start = time.perf_counter()
    server.start(build)
    timed("the first time", start, 0)
    requests = _Requests(server, files)
    numbers["requests"] = {}
    for name in ("nothing has changed", "a file has changed"):
        start, looks = time.perf_counter(), disk.looks
        reading = asyncio.create_task(server.renew(LOG))
        numbers["requests"][name] = await requests.until(reading)
        timed(name, start, looks)
        past = time.time() - 50
        (folder / "p0.yaml").write_text("temperature: 0.25\n")
        os.utime(folder / "p0.yaml", (past, past))
    with patch.object(served, "CHECK_INTERVAL", PAUSE):
        server.watch([folder], LOG)
        await asyncio.sleep(10 * PAUSE)
        stalled = disk.stall(stall)
        numbers["requests"]["the disk stalls"] = await requests.until(stalled)
    with patch.object(cache, "folder", lambda: folder / "tables"):
        stalled = disk.stall(stall)
        waiting = [
            asyncio.create_task(requests.send(switching(files + number)))
            for number in range(WAITING)
        ]
        numbers["requests"]["the disk of the tables stalls"] = await requests.until(
            stalled, of_their_own=True
        )
        await asyncio.gather(*waiting)
    return numbers


class _Requests:
    """Requests for presets at random, one after another."""

    def __init__(self, server: Served, files: int) -> None:
        self.middleware = PresetMiddleware(_answer, server, Metrics(CollectorRegistry()))
        self.random, self.files = Random(1), files

    async def until(
        self, task: asyncio.Task[Any], *, of_their_own: bool = False
    ) -> dict[str, float]:
        """Sends requests until a task is done. Returns their milliseconds, without the pauses'.

        Each names a preset, or brings one of its own, which is admitted in a thread.
        """
        taken: list[float] = []
        while not task.done() or not taken:
            begin = time.perf_counter()
            await asyncio.sleep(PAUSE)
            number = self.random.randrange(self.files)
            await self.send({"temperature": number / self.files} if of_their_own else f"p{number}")
            taken.append((time.perf_counter() - begin - PAUSE) * 1000)
        await task
        ordered = sorted(taken)
        return {
            "count": len(taken),
            "p50": statistics.median(ordered),
            "p99": ordered[len(ordered) * 99 // 100],
            "longest": ordered[-1],
        }

    async def send(self, preset: str | dict[str, Any]) -> None:
        """Sends a request with a preset."""
        body = {"messages": [{"role": "user", "content": "Hello"}], "preset": preset}
        waiting = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200

        scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
        await self.middleware(scope, receive, send)


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers at once."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def disk_table(numbers: dict[str, Any]) -> str:
    """Markdown: a line for each reading, and one for each stall."""
    lines = [
        "| a slow disk | looks at files | s | requests meanwhile | median, ms | 99 % | longest |",
        f"|{' --- |' * 7}",
    ]
    for name in dict.fromkeys(["the first time", *numbers["requests"]]):
        read, asked = numbers.get(name), numbers["requests"].get(name)
        cells = [f"{read['looks']:,}", f"{read['s']:.1f}"] if read else ["", ""]
        cells += (
            [f"{asked['count']:,}", *(f"{asked[key]:.1f}" for key in ("p50", "p99", "longest"))]
            if asked
            else [""] * 4
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
