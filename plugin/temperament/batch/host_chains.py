"""Chains with top-k on the CPU, compiled: each row is read once and written once.

The bits are those of the ops. A row for which the candidates don't suffice is left to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from temperament.compiled import prepared
from temperament.ops.inputs import Column
from temperament.ops.temperature import SHIFTED_BELOW
from temperament.ops.threads import on_all_threads

if TYPE_CHECKING:
    from temperament.batch.steps import BatchStep

# tokens that a vocabulary needs for each candidate: a chunk in `compiled/chains.py`
COLUMNS_EACH = 64
SHORTEST = 4096  # tokens of the smallest vocabulary with enough of them for the fewest candidates

Array = np.ndarray[Any, Any]


class Numbers(NamedTuple):
    """The parameters of a chain's rows, [rows] each; neutral in a row without the stage."""

    # float32, int64
    temperature: Array
    k: Array
    # float32 and float64, if no other stages follow top-k
    p: Array | None
    log_min_p: Array | None


class Narrowed(NamedTuple):
    """What is left of the rows after top-k."""

    # [rows, width] float32, descending, and their tokens
    candidates: Tensor
    tokens: Tensor
    # [rows] bool: whether that is all that is left of the row
    rows: Tensor


def runs_compiled(vocabulary: int, width: int) -> bool:
    """Returns whether chains with `width` candidates run compiled."""
    return prepared.chains is not None and vocabulary >= COLUMNS_EACH * width


def numbers_of(opening: Sequence[BatchStep], rest: Sequence[BatchStep]) -> Numbers | None:
    """Returns the numbers of `CandidateSteps`; None if they begin in a way that isn't compiled.

    All rows have a top-k, and what stands before it may be a temperature.
    """
    stages = [step.stage for step in opening]
    if stages not in (["top_k"], ["temperature", "top_k"]) or opening[-1].rows is not None:
        return None
    k = _column(opening[-1]).values
    temperature = torch.ones(len(k))
    for step in opening[:-1]:
        if _column(step).low < SHIFTED_BELOW:
            return None
        _put(temperature, step.rows, _column(step).values)
    p = log_min_p = None
    if [step.stage for step in rest] in ([], ["top_p"], ["min_p"], ["top_p", "min_p"]):
        p, log_min_p = torch.ones(len(k)), torch.full((len(k),), -torch.inf, dtype=torch.float64)
        for step in rest:
            values = _column(step).values
            if step.stage == "top_p":
                _put(p, step.rows, values)
            else:
                _put(log_min_p, step.rows, values.double().log())
    return Numbers(
        temperature.numpy(),
        k.numpy(),
        None if p is None else p.numpy(),
        None if log_min_p is None else log_min_p.numpy(),
    )


def narrow(logits: Tensor, numbers: Numbers, width: int) -> Narrowed:
    """Runs temperature and top-k on [rows, vocab] float32 logits, in place.

    The logits of the rows that are narrowed are all -inf then, the others are as they were.
    """
    rows, vocabulary = logits.shape
    array = logits.numpy()
    candidates = np.empty((rows, width), dtype=np.float32)
    tokens = np.empty((rows, width), dtype=np.int64)
    narrowed = np.empty(rows, dtype=np.bool_)

    def work(part: slice) -> None:
        chunks = -(-vocabulary // prepared.chains.CHUNK)
        prepared.chains.narrow(
            array.view(np.int32),
            array,
            part.start,
            min(part.stop, rows),
            numbers.temperature,
            numbers.k,
            np.empty(max(chunks, prepared.chains.ROOM), dtype=np.int64),
            np.empty(chunks, dtype=np.int32),
            candidates.view(np.int32),
            candidates,
            tokens,
            narrowed,
        )

    on_all_threads(work, rows, vocabulary)
    return Narrowed(*map(torch.from_numpy, (candidates, tokens, narrowed)))


def finish(logits: Tensor, narrowed: Narrowed, numbers: Numbers) -> None:
    """Runs top-p and min-p on the candidates and writes what is kept into the narrowed rows."""
    prepared.chains.finish(
        logits.numpy(),
        narrowed.candidates.numpy(),
        narrowed.tokens.numpy(),
        narrowed.rows.numpy(),
        numbers.p,
        numbers.log_min_p,
    )


def _column(step: BatchStep) -> Column:
    column = step.arguments[step.stage]
    assert isinstance(column, Column)
    return column


def _put(numbers: Tensor, rows: Tensor | None, values: Tensor) -> None:
    if rows is None:
        numbers.copy_(values)
    else:
        numbers.index_copy_(0, rows, values)
