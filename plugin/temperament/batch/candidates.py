"""Candidates: after a cut to the k largest logits, most chains need only the largest of a row.

That cut is top-k (`Stage.largest_kept`). The candidates are the k largest logits and some more. The
stages run on them alone, and the row is written once. A row with NaN or infinities runs on all of
its logits, and so does one in which more logits are tied with the k-th than there are candidates.
That depends only on the row and its chain, so a row's bits don't depend on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from temperament.batch.host_chains import finish, narrow, runs_compiled
from temperament.batch.merge import Stages
from temperament.batch.steps import BatchStep, CandidateSteps
from temperament.ops.blocks import branches
from temperament.ops.inputs import Column
from temperament.ops.largest import candidates
from temperament.presets.chain import Chain
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME
from temperament.stages.kinds import ColumnKind

WIDTHS = (64, 128, 256)  # numbers of candidates
SPARE = 8  # candidates beyond the k-th, at least
LEAST_SHARE = 8  # a vocabulary has at least this many tokens for each candidate

Run = Callable[[Tensor, Sequence[BatchStep]], Tensor]


class Division(NamedTuple):
    """A chain, divided by the logits that its stages run on."""

    # on all logits
    before: Stages = ()
    # on the candidates: top-k, and a stage right before it that keeps the order (a temperature)
    opening: Stages = ()
    # on the candidates: what follows top-k
    rest: Stages = ()
    # on all logits again
    after: Stages = ()


def width_of(chain: Chain) -> int:
    """Returns the number of candidates for a chain; 0: it needs all logits."""
    values = chain.values
    # A scheduled value is computed for all rows of the batch, not for those with candidates.
    if any(isinstance(value, Schedule) for value in values.values()):
        return 0
    stages = [BY_NAME[name] for name in chain.names]
    # A greedy row takes the lowest id of all tied tokens, which may be no candidate.
    if any(stage.greedy_when(values) for stage in stages):
        return 0
    k = next((values[stage.largest_kept] for stage in stages if stage.largest_kept), 0)
    return next((width for width in WIDTHS if width >= k + SPARE), 0) if k else 0


def divide(stages: Stages, width: int) -> Division:
    """Returns a chain divided at its top-k; with a `width` of 0, all of it runs before."""
    if not width:
        return Division(before=stages)
    cut = next(i for i, name in enumerate(stages) if BY_NAME[name].largest_kept)
    # The largest logits are still the largest after a stage that keeps their order.
    start = cut - 1 if cut and BY_NAME[stages[cut - 1]].keeps_order else cut
    end = cut + 1
    while end < len(stages) and _ignores_ids(stages[end]):
        end += 1
    return Division(stages[:start], stages[start : cut + 1], stages[cut + 1 : end], stages[end:])


def _ignores_ids(stage: str) -> bool:
    """Whether a stage reads the logits of a row and some numbers, but no token ids."""
    numbers = all(isinstance(p.kind, ColumnKind) for p in BY_NAME[stage].parameters)
    return numbers and not BY_NAME[stage].needs and not BY_NAME[stage].reads_ids


def run_on_candidates(logits: Tensor, steps: CandidateSteps, run: Run) -> Tensor:
    """Runs the steps on [n, vocab] float32 logits, in place; `run` runs a list of steps."""
    vocabulary = logits.shape[1]
    if not branches(logits) or steps.width * LEAST_SHARE > vocabulary:
        return run(run(logits, steps.opening), steps.rest)
    numbers = steps.numbers if runs_compiled(vocabulary, steps.width) else None
    if numbers is None:
        return _run_ops(logits, steps, run)
    narrowed = narrow(logits, numbers, steps.width)
    left = torch.where(~narrowed.rows)[0]
    if len(left):
        by_ops = _run_ops(logits[left], _restrict_all(steps, left, len(logits)), run)
    if numbers.p is not None:
        finish(logits, narrowed, numbers)
    else:
        logits.scatter_(1, narrowed.tokens, run(narrowed.candidates, steps.rest))
    return logits.index_copy_(0, left, by_ops) if len(left) else logits


def _run_ops(logits: Tensor, steps: CandidateSteps, run: Run) -> Tensor:
    top = candidates(logits, steps.width)
    finite = top.values[:, 0].isfinite()
    values = run(top.values, steps.opening)
    # Where top-k keeps the last candidate, it may keep tied logits that are no candidates.
    complete = torch.where(~finite | (values[:, -1] > -torch.inf))[0]
    kept = run(values, steps.rest)
    if not len(complete):
        return logits.fill_(-torch.inf).scatter_(1, top.tokens, kept)
    on_all = _restrict_all(steps, complete, len(logits))
    whole = run(run(logits[complete], on_all.opening), on_all.rest)
    logits.fill_(-torch.inf).scatter_(1, top.tokens, kept)
    return logits.index_copy_(0, complete, whole)


def _restrict_all(steps: CandidateSteps, chosen: Tensor, count: int) -> CandidateSteps:
    opening, rest = (
        [new for step in part if (new := _restrict(step, chosen, count)) is not None]
        for part in (steps.opening, steps.rest)
    )
    return CandidateSteps(steps.width, None, opening, rest)


def _restrict(step: BatchStep, chosen: Tensor, count: int) -> BatchStep | None:
    """Returns the step for `chosen` ([n] int64) of `count` rows; None if it is for none of them."""
    new_row = torch.full((count,), -1)
    new_row[chosen] = torch.arange(len(chosen))
    rows = new_row if step.rows is None else new_row[step.rows]
    inside = torch.where(rows >= 0)[0]
    if not len(inside):
        return None
    columns = {
        name: column._replace(values=column.values[inside])
        for name, column in step.arguments.items()
        if isinstance(column, Column)
    }
    return replace(step, rows=rows[inside], arguments={**columns})
