"""Whether preset files are as they were, found out without reading them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".yaml", ".yml")

# Seconds. The times of files are coarse, up to 2 s on some file systems: within them a file can be
# written twice and look the same.
_COARSE = 2.0


class Stamp(NamedTuple):
    """What tells a file from a changed one."""

    path: str
    inode: int
    size: int  # bytes
    written: int  # nanoseconds; programs can set it
    changed: int  # nanoseconds, of the content or of `written`; the system alone sets it


def stamps(paths: Iterable[Path]) -> tuple[Stamp | None, ...]:
    """Returns a stamp of each file at `paths`, which are files or folders of YAML files.

    An equal stamp means that the file is as it was. It is None where that can't be known: the file
    was written within the last 2 seconds, or the path can't be read. Equal results without None
    mean that nothing was added or removed either.
    """
    found: list[Stamp | None] = []
    latest = (time.time() - _COARSE) * 1e9
    for path in paths:
        try:
            if path.is_dir():
                with os.scandir(path) as entries:
                    files = sorted(e.path for e in entries if e.name.endswith(SUFFIXES))
            else:
                files = [str(path)]
        except OSError:
            found.append(None)
            continue
        found += [_stamp(file, latest) for file in files]
    return tuple(found)


def _stamp(file: str, latest: float) -> Stamp | None:
    """Returns the stamp of a file that wasn't written after `latest` (nanoseconds)."""
    try:
        status = os.stat(file)  # noqa: PTH116 - a third faster, at every step
    except OSError:
        return None
    if status.st_mtime_ns > latest:
        return None
    return Stamp(file, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
