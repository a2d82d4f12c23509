"""The `Admission` of a running server, rebuilt when the preset files change.

A running request keeps its preset, since its plan travels with it. Files with a problem change
nothing: the presets stay as they were, and the problems are reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from temperament.errors import Problem, TemperamentError
from temperament.presets.catalogue import environment_paths
from temperament.server.admission import Admission

CHECK_INTERVAL = 2.0  # seconds between two checks of the files


class Log(Protocol):
    """Where a reload is reported."""

    def info(self, message: str, /, *arguments: Any) -> object: ...
    def error(self, message: str, /, *arguments: Any) -> object: ...


@dataclass
class Served:
    """The admission of a server that has started; until then there is none."""

    admission: Admission | None = None
    # when its presets were read, UTC
    loaded: str = ""
    # what was wrong with the files at the last reload
    problems: tuple[Problem, ...] = ()
    on_reload: Callable[[bool], None] = lambda ok: None
    _build: Callable[[], Admission] | None = None
    _task: asyncio.Task[None] | None = field(default=None, repr=False)
    # The one thread that looks at the files. A disk may stall: the loop goes on meanwhile, and the
    # threads that requests need are left to them. Readings come one after another.
    _disk: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "temperament-presets"), repr=False
    )

    def start(self, build: Callable[[], Admission]) -> Admission:
        """Reads the presets for the first time. Raises what `build` raises."""
        self.admission, self._build = build(), build
        self.loaded = _now()
        return self.admission

    def reload(self, log: Log) -> bool:
        """Reads the presets again. Returns whether they are in use now."""
        assert self._build is not None and self.admission is not None
        previous = self.admission.catalogue
        try:
            admission = self._build()
        except (TemperamentError, OSError) as error:
            single = (Problem("presets", "", f"can't be read: {error}"),)
            self.problems = error.problems if isinstance(error, TemperamentError) else single
            log.error("temperament: the presets stay as they were: %s", error)
            self.on_reload(False)
            return False
        self.admission, self.loaded, self.problems = admission, _now(), ()
        changed = [
            name
            for name in sorted({*previous, *admission.catalogue})
            if previous.get(name) != admission.catalogue.get(name)
        ]
        log.info("temperament: presets read again; changed: %s", ", ".join(changed) or "none")
        self.on_reload(True)
        return True

    async def renew(self, log: Log) -> bool:
        """Reads the presets again, beside the loop. Returns whether they are in use now."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, self.reload, log)

    def watch(self, paths: Iterable[str | Path], log: Log) -> None:
        """Starts a task that reloads the presets when one of their files or folders changes."""
        named = [*environment_paths(), *map(Path, paths)]
        if named:
            self._task = asyncio.get_running_loop().create_task(self._watch(named, log))

    async def _watch(self, paths: list[Path], log: Log) -> None:
        look = partial(asyncio.get_running_loop().run_in_executor, self._disk, fingerprint, paths)
        known = seen = await look()
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            now = await look()
            # equal at two checks: no file is still being written
            if now != known and now == seen:
                known = now
                await self.renew(log)
            seen = now


def fingerprint(paths: Iterable[Path]) -> tuple[tuple[str | int, ...], ...]:
    """Returns each file's path and what changes with it, also of files in folders.

    That is its size, inode and times, of which programs can set back one alone.
    """
    found: list[tuple[str | int, ...]] = []
    for path in paths:
        try:
            files = sorted(path.iterdir()) if path.is_dir() else [path]
        except OSError:
            files = [path]
        for file in files:
            try:
                status = file.stat()
            except OSError:
                found.append((str(file),))
            else:
                times = (status.st_mtime_ns, status.st_ctime_ns)
                found.append((str(file), status.st_size, status.st_ino, *times))
    return tuple(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
