"""The loop that runs the steps of a batch.

It handles tensors only: no strings from a request, no Python loop over rows, and nothing that
waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import torch
from torch import Tensor

from temperament.batch.candidates import run_on_candidates
from temperament.batch.device_chains import ChainStep, Inputs
from temperament.batch.steps import BatchStep, CandidateSteps
from temperament.ops import OPS
from temperament.ops.compiled_rows import compiles
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Column, Vocabulary
from temperament.ops.noise import Noise
from temperament.ops.state import State
from temperament.ops.temperature import SHIFTED_BELOW

_Step = BatchStep | CandidateSteps | ChainStep


@dataclass(slots=True)
class Context:
    """What the stages of a batch read beside their parameters; None where no stage reads it."""

    # the kernels read texts that rows share; the ops read `divided`
    history: History | None = None
    matches: Matches | None = None
    vocabulary: Vocabulary | None = None
    # by stage
    states: dict[str, State] | None = None
    # [rows] int64: how many tokens each row's mode has had, for values that change with that
    position: Tensor | None = None
    _divided: History | None = None

    @property
    def divided(self) -> History | None:
        """Returns the history with a text for each row; it is copied once."""
        if self._divided is None and self.history is not None:
            self._divided = self.history.divided()
        return self._divided

    def select(self, rows: Tensor) -> Context:
        """Returns the same for some rows: [n] int64."""
        states = self.states or {}
        return Context(
            None if self.history is None else self.history.select(rows),
            None if self.matches is None else self.matches.select(rows),
            self.vocabulary,
            {name: state.select(rows) for name, state in states.items()},
            None if self.position is None else self.position.index_select(0, rows),
        )

    def only(self, takes_part: Tensor) -> Context:
        """Returns the same such that only some rows ([rows] bool) change their state."""
        if not self.states:
            return self
        states = {name: state.only(takes_part) for name, state in self.states.items()}
        return replace(self, states=states)


def execute(logits: Tensor, steps: Sequence[_Step], context: Context) -> Tensor:
    """Runs the steps on [rows, vocab] float32 logits, in place, and returns the logits.

    `context` has what the steps need, for every row of the logits. An error of a stage carries the
    stage's name as a note.
    """
    # A runner may cut off the vocabulary's padding by a view, which the kernels can read.
    in_rows = all(isinstance(step, ChainStep) for step in steps)
    if not logits.is_contiguous() and not in_rows:
        return logits.copy_(execute(logits.contiguous(), steps, context))
    if compiles(logits):
        steps = _join_temperatures(steps)
    position = 0
    while position < len(steps):
        # Consecutive steps with the same tensor of rows gather and write these rows once.
        rows = steps[position].rows
        part = logits if rows is None else logits.index_select(0, rows)
        part_context = context if rows is None else context.select(rows)
        while position < len(steps) and steps[position].rows is rows:
            part = _run_step(part, steps[position], part_context)
            position += 1
        if rows is None:
            logits = part
        else:
            logits.index_copy_(0, rows, part)
    return logits


def _join_temperatures(steps: Sequence[_Step]) -> list[_Step]:
    """Gives a temperature to the compiled cut behind it, which divides a row as it reads it."""
    joined: list[_Step] = []
    for step in steps:
        before = joined[-1] if joined else None
        if _divides(before) and _cuts(step) and before.rows is step.rows:
            joined[-1] = replace(step, arguments={**before.arguments, **step.arguments})
        else:
            joined.append(step)
    return joined


def _divides(step: _Step | None) -> TypeGuard[BatchStep]:
    """Whether a step is a temperature that only divides."""
    if not isinstance(step, BatchStep) or step.stage != "temperature" or step.ramps:
        return False
    column = step.arguments["temperature"]
    return isinstance(column, Column) and column.low >= SHIFTED_BELOW


def _cuts(step: _Step) -> TypeGuard[BatchStep]:
    return isinstance(step, BatchStep) and step.stage in ("top_p", "typical_p") and not step.ramps


def _run_step(logits: Tensor, step: _Step, context: Context) -> Tensor:
    if isinstance(step, ChainStep):
        return _run_chains(logits, step, context)
    if isinstance(step, CandidateSteps):
        return run_on_candidates(logits, step, lambda part, steps: execute(part, steps, context))
    return _apply(logits, step, context)


def _run_chains(logits: Tensor, step: ChainStep, context: Context) -> Tensor:
    # The kernels read a row's numbers one after another.
    if not logits.is_contiguous() and logits.stride(1) != 1:
        return logits.copy_(_run_chains(logits.contiguous(), step, context))
    inputs = Inputs(
        context.history,
        context.matches,
        context.position,
        context.vocabulary,
        context.states or {},
    )
    return step.run(logits, inputs)


def execute_expanded(
    logits: Tensor, steps: Sequence[BatchStep | ChainStep], context: Context
) -> Tensor:
    """Runs expanded steps on [rows, vocab] float32 logits and returns new logits.

    A stage runs on all rows; `BatchStep.rows` is the mask of those that keep its result.
    """
    for step in steps:
        if isinstance(step, ChainStep):
            logits = _run_chains(logits, step, context)
            continue
        assert step.rows is not None
        changed = _apply(logits.clone(), step, context.only(step.rows))
        logits = torch.where(step.rows[:, None], changed, logits)
    return logits


def _apply(logits: Tensor, step: BatchStep, context: Context) -> Tensor:
    try:
        return OPS[step.stage](logits, **_arguments(step, context), **_needs(step, context))
    except Exception as error:
        error.add_note(step.stage)
        raise


def _arguments(step: BatchStep, context: Context) -> dict[str, Any]:
    arguments: dict[str, Any] = {**step.arguments}
    if not step.ramps:
        return arguments
    for name, ramp in step.ramps.items():
        assert context.position is not None
        arguments[name] = ramp.at(arguments[name], context.position)
    return arguments


def _needs(step: BatchStep, context: Context) -> dict[str, Any]:
    needs: dict[str, Any] = {}
    named = step.needs
    if not named:
        return needs
    if "history" in named:
        needs["history"] = context.divided
    if "matches" in named:
        needs["matches"] = context.matches
    if "vocabulary" in named:
        needs["vocabulary"] = context.vocabulary
    if "state" in named:
        assert context.states is not None
        needs["state"] = context.states[step.stage]
    if "ends" in named:
        needs["ends"] = step.ends
    if "noise" in named:
        assert context.history is not None and step.seed is not None
        needs["noise"] = Noise(step.seed, context.history.end - context.history.prompt_end)
    return needs
