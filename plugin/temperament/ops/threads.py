"""Parts of the rows on threads of our own, for what torch doesn't divide among its threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

from temperament.ops.blocks import BAND

FEW = 2**15  # with fewer numbers, starting threads costs more than it saves


def on_all_threads(work: Callable[[slice], None], rows: int, columns: int) -> None:
    """Calls `work` with parts of the rows, on as many threads as torch uses."""
    if rows * columns < FEW:
        work(slice(0, rows))
        return
    threads = torch.get_num_threads()
    high = max(1, min(-(-rows // threads), BAND // max(columns, 1)))
    parts = [slice(top, top + high) for top in range(0, rows, high)]
    if threads == 1:
        for part in parts:
            work(part)
    else:
        list(_pool(threads).map(work, parts))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="temperament-rows")
