"""From top-k on, a chain needs a row's largest logits alone: it runs on those, not on all.

The k largest and some more are taken out, the stages run on them, and the row is written once. A
row where others are tied with the last of them, or one with NaN or infinities, runs on the whole.
Which way a row goes depends on the row and its chain alone, so its bits don't depend on others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.inputs import Column
from temperament.ops.largest import candidates
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME
from temperament.stages.kinds import ColumnKind

if TYPE_CHECKING:
    from temperament.batch.table import BatchStep

WIDTHS = (64, 128, 256)  # how many are taken out
SPARE = 8  # how many at least are more than k
LEAST_SHARE = 8  # of the vocabulary, at most one part in so many

Shape = tuple[str, ...]


def width_of(values: Mapping[str, Any]) -> int:
    """How many logits a chain with these values may run on; 0: on all."""
    k = values.get("top_k", 0)
    # A greedy row takes the lowest id of those tied, which may not be among them.
    if not k or values.get("temperature") == 0:
        return 0
    # What changes with the position is computed for the rows of the batch.
    if any(isinstance(value, Schedule) for value in values.values()):
        return 0
    return next((width for width in WIDTHS if width >= k + SPARE), 0)


def divide(shape: Shape, width: int) -> tuple[Shape, Shape, Shape, Shape]:
    """(what runs on all, what leaves the k largest, what runs on them, what runs on all again)."""
    if not width:
        return shape, (), (), ()
    k = shape.index("top_k")
    # A temperature keeps the order.
    start = k - 1 if k and shape[k - 1] == "temperature" else k
    end = k + 1
    while end < len(shape) and _knows_no_tokens(shape[end]):
        end += 1
    return shape[:start], shape[start : k + 1], shape[k + 1 : end], shape[end:]


def _knows_no_tokens(stage: str) -> bool:
    numbers = all(isinstance(p.kind, ColumnKind) for p in BY_NAME[stage].parameters)
    # Skew tells equal tokens apart by their ids.
    return numbers and not BY_NAME[stage].needs and stage != "skew"


@dataclass(frozen=True, slots=True)
class HeadSteps:
    """Stages for the largest logits of some rows of a batch."""

    width: int
    # [n] int64 rows of the batch, None for all
    rows: Tensor | None
    # their own rows are counted among those
    opening: Sequence[BatchStep]
    steps: Sequence[BatchStep]


Run = Callable[[Tensor, Sequence["BatchStep"]], Tensor]


def run_heads(logits: Tensor, heads: HeadSteps, run: Run) -> Tensor:
    """Runs them on [n, vocab] float32 logits of their rows, in place; `run` runs steps."""
    if not branches(logits) or heads.width * LEAST_SHARE > logits.shape[1]:
        return run(run(logits, heads.opening), heads.steps)
    top = candidates(logits, heads.width)
    finite = top.values[:, 0].isfinite()
    values = run(top.values, heads.opening)
    # What is left reaches beyond those that were taken out.
    whole = torch.where(~finite | (values[:, -1] > -torch.inf))[0]
    kept = run(values, heads.steps)
    rest = logits[whole]
    if len(whole):
        both = [*heads.opening, *heads.steps]
        rest = run(rest, [_for_some(step, whole, len(logits)) for step in both])
    logits.fill_(-torch.inf).scatter_(1, top.tokens, kept)
    return logits.index_copy_(0, whole, rest)


def _for_some(step: BatchStep, chosen: Tensor, count: int) -> BatchStep:
    """The step for the chosen rows of `count`."""
    number = torch.full((count,), -1)
    number[chosen] = torch.arange(len(chosen))
    own = number if step.rows is None else number[step.rows]
    inside = torch.where(own >= 0)[0]
    columns = {
        name: column._replace(values=column.values[inside])
        for name, column in step.arguments.items()
        if isinstance(column, Column)
    }
    return replace(step, rows=own[inside], arguments={**columns})
