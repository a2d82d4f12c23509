"""Keeps the tables of automata on disk, by a digest of what they are built from.

The files are in `$XDG_CACHE_HOME/temperament` (`~/.cache/temperament` without it). Each is written
under another name and then renamed, so that processes which build the same table don't disturb each
other. A file that can't be read counts as missing. If the folder can't be written, nothing is kept.
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
    """Returns the folder in which the files are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "temperament" / "automata"


def load(key: str) -> dict[str, NDArray[Any]] | None:
    """Returns the arrays stored under a key, None if there are none or they can't be read."""
    path = folder() / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        os.utime(path)  # `store` removes the least recently used files
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return arrays


def store(key: str, arrays: Arrays) -> None:
    """Stores arrays under a key.

    If all files together exceed `MAX_BYTES`, the least recently used ones are removed.
    """
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
