"""What a server admits requests by, and how that is renewed when the preset files change.

A request that is running keeps what it started with, since its plan travels with it. Files with a
problem change nothing: the last good set stays, and the problems are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from temperament.errors import Problem, TemperamentError
from temperament.presets.catalogue import environment_paths
from temperament.server.admission import Admission

LOOK = 2.0  # seconds between two looks at the files


class Log(Protocol):
    """Where a reload is told."""

    def info(self, message: str, /, *arguments: Any) -> object: ...
    def error(self, message: str, /, *arguments: Any) -> object: ...


@dataclass
class Served:
    """The admission of a server that has started; until then there is none."""

    admission: Admission | None = None
    # when its presets were read, UTC
    loaded: str = ""
    # what was wrong with the files at the last look, if they were no good
    problems: tuple[Problem, ...] = ()
    told: Callable[[bool], None] = lambda ok: None
    _build: Callable[[], Admission] | None = None
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self, build: Callable[[], Admission]) -> Admission:
        """Reads the presets for the first time; what is wrong with them is raised."""
        self.admission, self._build = build(), build
        self.loaded = _now()
        return self.admission

    def reload(self, log: Log) -> bool:
        """Reads the presets again; whether they are good."""
        assert self._build is not None and self.admission is not None
        before = self.admission.catalogue
        try:
            made = self._build()
        except (TemperamentError, OSError) as error:
            single = (Problem("presets", "", f"can't be read: {error}"),)
            self.problems = error.problems if isinstance(error, TemperamentError) else single
            log.error("temperament: the presets stay as they were: %s", error)
            self.told(False)
            return False
        self.admission, self.loaded, self.problems = made, _now(), ()
        changed = [
            name
            for name in sorted({*before, *made.catalogue})
            if before.get(name) != made.catalogue.get(name)
        ]
        log.info("temperament: presets read again; changed: %s", ", ".join(changed) or "none")
        self.told(True)
        return True

    def watch(self, paths: Iterable[str | Path], log: Log) -> None:
        """Looks at files and folders of presets from now on, and reloads when one has changed."""
        named = [*environment_paths(), *map(Path, paths)]
        if named:
            self._task = asyncio.get_running_loop().create_task(self._watch(named, log))

    async def _watch(self, paths: list[Path], log: Log) -> None:
        known = seen = fingerprint(paths)
        while True:
            await asyncio.sleep(LOOK)
            now = fingerprint(paths)
            # a file that is still being written is left to be finished
            if now != known and now == seen:
                known = now
                await asyncio.to_thread(self.reload, log)
            seen = now


def fingerprint(paths: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """What tells whether one of the files, or a file in one of the folders, has changed."""
    found = []
    for path in paths:
        try:
            files = sorted(path.iterdir()) if path.is_dir() else [path]
        except OSError:
            files = [path]
        for file in files:
            try:
                status = file.stat()
            except OSError:
                found.append((str(file), 0, -1))
            else:
                found.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
