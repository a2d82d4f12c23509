"""The compiled functions on rows of logits, which have the bits of the ops. A thread has a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.compiled import prepared
from temperament.compiled.constants import PIECE
from temperament.ops.blocks import branches
from temperament.ops.threads import on_all_threads

SUMMED = 2  # terms at most: the largest logits are counted

Array = np.ndarray[Any, Any]


def compiles(logits: Tensor) -> bool:
    """Returns whether the rows of these logits are summed and searched by compiled functions."""
    if prepared.cuts is None or not branches(logits) or logits.dtype != torch.float32:
        return False
    return logits.shape[1] > PIECE and logits.is_contiguous()


def sums(logits: Tensor, kind: int, terms: int) -> tuple[Tensor, ...]:
    """Returns what `ops.sums.sums` does; `kind` is the place of its terms in `COMPILED`."""
    array = logits.numpy()
    maximum = np.empty(len(array), np.float32)
    totals = np.empty((len(array), terms))

    def work(part: slice) -> None:
        with _memory(array.shape[1]) as memory:
            prepared.cuts.sum_rows(
                kind,
                array.view(np.int32),
                array,
                part.start,
                min(part.stop, len(array)),
                memory.mass,
                memory.work,
                memory.parts[: min(terms, SUMMED)],
                maximum,
                totals,
            )

    on_all_threads(work, *array.shape)
    return tuple(torch.from_numpy(numbers)[:, None] for numbers in (maximum, *totals.T))


def keep_nearest(
    logits: Tensor, share: Tensor, temperature: Tensor | None = None, *, around_mean: bool = False
) -> Tensor:
    """Keeps the likeliest tokens that have a share of the mass together, in place.

    Or those nearest to the mean logit, by probability. `share` is [rows], and so is `temperature`,
    by which the rows are first divided. Returns the rows ([n] int64) from which nothing was removed
    because the ops must decide: those with NaN or infinities, and those in which rounding decides.
    """
    array, shares = logits.numpy(), share.numpy()
    divisors = np.ones_like(shares) if temperature is None else temperature.numpy()
    decided = np.empty(len(array), np.bool_)

    def work(part: slice) -> None:
        with _memory(array.shape[1]) as memory:
            prepared.cuts.keep_nearest(
                around_mean,
                array.view(np.int32),
                array,
                part.start,
                min(part.stop, len(array)),
                divisors,
                shares,
                memory.mass,
                memory.work,
                memory.parts[: 1 + around_mean],
                memory.found,
                memory.buckets,
                memory.keys,
                memory.near,
                decided,
            )

    on_all_threads(work, *array.shape)
    return torch.from_numpy((~decided).nonzero()[0])


def skew(logits: Tensor, amount: Tensor, power: Tensor) -> Tensor:
    """Bends the cumulated probabilities, in place; `amount` and its power of e are [rows]."""
    return _in_order(prepared.ranking.skew_rows, logits, amount, power)


def tfs(logits: Tensor, share: Tensor) -> Tensor:
    """Tail-free sampling, in place; `share` is [rows]."""
    return _in_order(prepared.ranking.cut_tails, logits, share)


def _in_order(function: Any, logits: Tensor, *numbers: Tensor) -> Tensor:
    """Calls a compiled function that needs a row's order; `numbers` are [rows] each."""
    array, per_row = logits.numpy(), [number.numpy() for number in numbers]

    def work(part: slice) -> None:
        with _memory(array.shape[1]) as memory:
            function(
                array.view(np.int32),
                array,
                part.start,
                min(part.stop, len(array)),
                *per_row,
                *memory.of_ranking(),
            )

    on_all_threads(work, *array.shape)
    return logits


class _Memory:
    """What the compiled functions write to while they work on a row."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.mass = np.empty(columns, np.float32)
        self.work = np.empty((SUMMED, PIECE), np.float32)
        self.parts = np.empty((SUMMED, -(-columns // PIECE)))
        cuts = prepared.cuts
        self.found = np.empty(cuts.BUCKETS + cuts.IGNORED)
        self.buckets = np.empty(cuts.STRETCH, np.int32)
        self.keys = np.empty(columns, np.int64)
        self.near = np.empty(columns, np.float32)
        self._ranking: tuple[Array, ...] | None = None

    def of_ranking(self) -> tuple[Array, ...]:
        """Returns the memory for what needs a row's order, made when it is first needed."""
        if self._ranking is None:
            ranking, columns = prepared.ranking, self.columns
            self._ranking = (
                np.empty(columns, np.uint64),
                np.empty(columns, np.uint64),
                np.empty((3, ranking.DIGITS), np.int32),
                np.empty(ranking.STRETCH, np.int32),
                np.empty(columns),
            )
        return self._ranking


_free: list[_Memory] = []


@contextmanager
def _memory(columns: int) -> Iterator[_Memory]:
    """Lends memory that no other thread uses: to get it anew would cost more than a row."""
    try:
        memory = _free.pop()
    except IndexError:
        memory = _Memory(columns)
    if memory.columns != columns:
        memory = _Memory(columns)
    try:
        yield memory
    finally:
        _free.append(memory)
