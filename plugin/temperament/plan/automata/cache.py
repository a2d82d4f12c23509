"""Keeps the tables of automata on disk, by a digest of what they are built from.

The files are in `$XDG_CACHE_HOME/temperament` (`~/.cache/temperament` without it). Each is written
under another name and then renamed, so that processes which build the same table don't disturb each
other. A file that can't be read counts as missing. If the folder can't be written, nothing is kept.
Both hold too for a disk that doesn't answer: tables are built in its stead.
"""

from __future__ import annotations

import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 512 * 1024 * 1024
WAIT = 1.0  # seconds for the disk; to build a table mostly takes less
Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")

# The threads for which `WAIT` was too short. While one of them waits, no other looks at the disk.
_waiting: list[threading.Thread] = []


def folder() -> Path:
    """Returns the folder in which the files are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "temperament" / "automata"


def load(key: str) -> dict[str, NDArray[Any]] | None:
    """Returns the arrays stored under a key, None if there are none or they can't be read."""
    return _in_time(partial(_load, key))


def store(key: str, arrays: Arrays) -> None:
    """Stores arrays under a key.

    If all files together exceed `MAX_BYTES`, the least recently used ones are removed.
    """
    _in_time(partial(_store, key, arrays))


def _in_time(work: Callable[[], T]) -> T | None:
    """Returns what `work` returns, None if the disk takes longer than `WAIT`.

    The threads that admit requests and an engine's steps come here: they must not wait for a disk
    that stalls. Its own thread waits, and doesn't keep the process from ending.
    """
    if any(thread.is_alive() for thread in _waiting):
        return None
    _waiting.clear()
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="temperament-tables", daemon=True)
    thread.start()
    try:
        return future.result(WAIT)
    except TimeoutError:
        _waiting.append(thread)
        return None


def _load(key: str) -> dict[str, NDArray[Any]] | None:
    path = folder() / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        os.utime(path)  # `store` removes the least recently used files
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return arrays


def _store(key: str, arrays: Arrays) -> None:
    target = folder() / f"{key}.npz"
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
            try:
                np.savez(file, allow_pickle=False, **arrays)
                file.close()
                Path(file.name).replace(target)
            finally:
                with suppress(OSError):
                    Path(file.name).unlink()
        _prune(target.parent)


def _prune(home: Path) -> None:
    total = 0
    files = [(path.stat(), path) for path in home.iterdir()]
    for stat, path in sorted(files, key=lambda file: file[0].st_mtime, reverse=True):
        total += stat.st_size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
