"""Arrays on disk, by the content that they were made from: for automata, which take a moment.

The files are in `$XDG_CACHE_HOME/temperament` (`~/.cache` without it). They are written to another
name first and renamed, so that processes that build the same thing don't meet; what can't be read
is as good as missing, and so is a cache folder that can't be written.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 512 * 1024 * 1024
Arrays = Mapping[str, NDArray[Any]]


def folder() -> Path:
    """Where the files are."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "temperament" / "automata"


def load(key: str) -> dict[str, NDArray[Any]] | None:
    """The arrays that were stored under a key, None if there are none that can be read."""
    path = folder() / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays_:
            arrays = dict(arrays_)
        os.utime(path)  # used now: what is unused longest goes first
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return arrays


def store(key: str, arrays: Arrays) -> None:
    """Keeps arrays under a key, and drops what was unused longest beyond `MAX_BYTES`."""
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
    kept = 0
    files = [(path.stat(), path) for path in home.iterdir()]
    for facts, path in sorted(files, key=lambda one: one[0].st_mtime, reverse=True):
        kept += facts.st_size
        if kept > MAX_BYTES:
            path.unlink(missing_ok=True)
