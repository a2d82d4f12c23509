"""NumPy's ways to find the largest numbers of a row, which the ops use on a CPU, and torch's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scripts.lib.benchmark.costs import logits_of, measure
from torch import Tensor
from tqdm import tqdm

from temperament.ops.cut import CANDIDATES, WIDER
from temperament.ops.largest import GROUP

ROWS = 16
Way = Callable[[Tensor], object]


def _sorted(logits: Tensor) -> object:
    array = logits.numpy()
    array.sort(axis=1)
    return array


def _parted(count: int) -> Way:
    def part(logits: Tensor) -> object:
        array = logits.numpy()
        array.partition(array.shape[1] - count, axis=1)
        return array

    return part


def _places(count: int) -> Way:
    return lambda logits: logits.numpy().argpartition(logits.shape[1] - count, axis=1)


def ways(vocabulary: int) -> dict[tuple[str, int], Way]:
    """(what is done, the numbers in a row) -> the way, in place or with a result of its own."""
    groups = vocabulary // GROUP
    found: dict[tuple[str, int], Way] = {
        ("NumPy sort", vocabulary): _sorted,
        ("torch sort", vocabulary): lambda logits: logits.sort(dim=1),
    }
    for count in WIDER:
        found[f"NumPy partition, {count:,} largest", vocabulary] = _parted(count)
    found[f"torch topk, {WIDER[0]:,} largest", vocabulary] = lambda logits: logits.topk(WIDER[0])
    found[f"NumPy argpartition, {CANDIDATES} largest", groups] = _places(CANDIDATES)
    found[f"torch topk, {CANDIDATES} largest", groups] = lambda logits: logits.topk(CANDIDATES)
    return found


def run_ways(quick: bool, only: str = "") -> dict[str, float]:
    """Returns the milliseconds of each way for 16 rows on one thread."""
    vocabulary = 4 * GROUP * WIDER[0] if quick else 151_936
    source = logits_of("normal", ROWS, vocabulary)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            f"{name} of {columns:,}": measure(
                way, source[:, :columns].contiguous(), 0.01 if quick else 1.0, 3
            )[0]
            for (name, columns), way in tqdm(ways(vocabulary).items(), unit="way", disable=None)
            if only in name and columns >= CANDIDATES
        }
    finally:
        torch.set_num_threads(threads)


def ways_table(milliseconds: dict[str, float]) -> str:
    """Markdown: a line for each way."""
    lines = [f"| {name} | {number:.2f} |" for name, number in milliseconds.items()]
    head = [f"| way, {ROWS} rows, one thread | ms |", "| --- | --- |"]
    return "\n".join([*head, *lines])
