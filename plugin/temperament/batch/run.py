"""The one loop that runs a batch.

Here there are tensors only: no strings from a request, no loop over rows, no synchronisation with
the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from temperament.batch.heads import HeadSteps, run_heads
from temperament.batch.table import BatchStep
from temperament.ops import OPS
from temperament.ops.inputs import Given
from temperament.ops.noise import Noise


def execute(logits: Tensor, steps: Sequence[BatchStep | HeadSteps], given: Given) -> Tensor:
    """Runs the steps on [rows, vocab] float32 logits, in place.

    `given` has what the steps need, for each row of the logits.
    """
    if not logits.is_contiguous():  # a runner may cut off the vocabulary's padding by a view
        return logits.copy_(execute(logits.contiguous(), steps, given))
    position = 0
    while position < len(steps):
        rows = steps[position].rows
        part = logits if rows is None else logits.index_select(0, rows)
        own = given if rows is None else given.select(rows)
        while position < len(steps) and steps[position].rows is rows:
            part = _run_step(part, steps[position], own)
            position += 1
        if rows is None:
            logits = part
        else:
            logits.index_copy_(0, rows, part)
    return logits


def _run_step(logits: Tensor, step: BatchStep | HeadSteps, given: Given) -> Tensor:
    if isinstance(step, HeadSteps):
        return run_heads(logits, step, lambda part, steps: execute(part, steps, given))
    return _apply(logits, step, given)


def execute_expanded(logits: Tensor, steps: Sequence[BatchStep], given: Given) -> Tensor:
    """The same where `BatchStep.rows` is a mask: a stage runs on all rows and counts for some."""
    for step in steps:
        changed = _apply(logits.clone(), step, given)
        assert step.rows is not None
        logits = torch.where(step.rows[:, None], changed, logits)
    return logits


def _apply(logits: Tensor, step: BatchStep, given: Given) -> Tensor:
    try:
        return OPS[step.stage](logits, **_arguments(step, given), **_needs(step, given))
    except Exception as error:
        error.add_note(step.stage)
        raise


def _arguments(step: BatchStep, given: Given) -> dict[str, Any]:
    arguments: dict[str, Any] = {**step.arguments}
    for name, ramp in step.ramps.items():
        assert given.position is not None
        arguments[name] = ramp.at(arguments[name], given.position)
    return arguments


def _needs(step: BatchStep, given: Given) -> dict[str, Any]:
    needs: dict[str, Any] = {}
    if "history" in step.needs:
        needs["history"] = given.history
    if "matches" in step.needs:
        needs["matches"] = given.matches
    if "vocabulary" in step.needs:
        needs["vocabulary"] = given.vocabulary
    if "state" in step.needs:
        assert given.states is not None
        needs["state"] = given.states[step.stage]
    if "ends" in step.needs:
        needs["ends"] = step.ends
    if "noise" in step.needs:
        assert given.history is not None and step.seed is not None
        needs["noise"] = Noise(step.seed, given.history.end - given.history.prompt_end)
    return needs
