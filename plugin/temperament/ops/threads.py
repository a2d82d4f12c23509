"""Parts of the rows on torch's threads, for what torch doesn't divide among them itself.

torch's threads belong to an OpenMP runtime, and wait for more work by spinning for some
milliseconds. Threads of our own would share the processors with them, at half the speed (5.9
instead of 3.4 ms for top-k of [64, 151936] on two cores). So the parts run in OpenMP's team of
threads, as torch's own do. Where the runtime has no `GOMP_parallel`, as on macOS and Windows, they
run on threads of our own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch

from temperament.ops.blocks import BAND

FEW = 2**15  # with fewer numbers, starting threads costs more than it saves

# what each thread of a team calls, with a pointer that isn't used
_CALLED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def on_all_threads(work: Callable[[slice], None], rows: int, columns: int) -> None:
    """Calls `work` with parts of the rows, on as many threads as torch uses.

    Raises what a part raises, after the others.
    """
    threads = torch.get_num_threads()
    high = max(1, min(-(-rows // threads), BAND // max(columns, 1)))
    parts = [slice(top, top + high) for top in range(0, rows, high)]
    if rows * columns < FEW or len(parts) == 1 or threads == 1 or _Forked.after_use:
        for part in parts:
            work(part)
        return
    errors: list[BaseException] = []

    def work_off(_: Any = None) -> None:
        """Works on parts that no other thread has taken."""
        while True:
            try:
                part = parts.pop()
            except IndexError:
                return
            try:
                work(part)
            except BaseException as error:
                errors.append(error)

    _Forked.used = True
    run_in_team = _team()
    if run_in_team is None:
        list(_pool(threads).map(work_off, range(threads)))
    else:
        run_in_team(_CALLED(work_off), None, threads, 0)
    if errors:
        raise errors[0]


class _Forked:
    """Whether the threads are missing: a forked process doesn't get those of its parent."""

    used = False
    after_use = False


def _after_fork() -> None:
    _Forked.after_use = _Forked.used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@lru_cache(maxsize=1)
def _team() -> Any:
    """Returns OpenMP's function that calls a function on each thread of a team, if it has it.

    It is looked for where torch's own calls find it: first among what is loaded for all, as a
    runtime that the user preloads.
    """
    for library in (None, torch._C.__file__):
        try:
            function = ctypes.CDLL(library).GOMP_parallel
        except (AttributeError, OSError, TypeError):  # TypeError: None, on Windows
            continue
        function.argtypes = [_CALLED, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        function.restype = None
        return function
    return None


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="temperament-rows")
