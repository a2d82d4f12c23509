"""The one loop that runs a batch, and the same for a decoding loop of one's own.

Below `execute` there are tensors only: no strings from a request, no loop over rows, no
synchronisation with the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.history import TokenLog
from temperament.batch.table import BatchStep, Table
from temperament.errors import PresetError, Problem
from temperament.ops import OPS
from temperament.ops.inputs import History
from temperament.presets import Catalogue, Preset, as_preset
from temperament.stages import BY_NAME

Presets = str | Mapping[str, Any] | Preset | Sequence[str | Mapping[str, Any] | Preset]
Ids = Sequence[Sequence[int]] | Tensor


def execute(logits: Tensor, steps: Sequence[BatchStep], history: History | None) -> Tensor:
    """Runs the steps on [rows, vocab] float32 logits, in place.

    `history` has one row for each row of the logits; it may be None if no step needs it.
    """
    position = 0
    while position < len(steps):
        rows = steps[position].rows
        part = logits if rows is None else logits.index_select(0, rows)
        seen = history if history is None or rows is None else history.select(rows)
        while position < len(steps) and steps[position].rows is rows:
            step = steps[position]
            needs = {need: seen for need in BY_NAME[step.stage].needs}
            part = OPS[step.stage](part, **step.arguments, **needs)
            position += 1
        if rows is None:
            logits = part
        else:
            logits.index_copy_(0, rows, part)
    return logits


def execute_expanded(logits: Tensor, steps: Sequence[BatchStep], history: History | None) -> Tensor:
    """The same where `BatchStep.rows` is a mask: every stage runs on all rows and is kept on some."""
    for step in steps:
        needs = {need: history for need in BY_NAME[step.stage].needs}
        changed = OPS[step.stage](logits.clone(), **step.arguments, **needs)
        assert step.rows is not None
        logits = torch.where(step.rows[:, None], changed, logits)
    return logits


class Run:
    """Presets for the rows of a decoding loop of one's own, step by step.

    ::

        run = Run(["code", "creative"], prompt_ids=ids)
        logits = run.run(model_logits)  # [2, vocab] float32: softmax and draw from these
        run.accept(tokens)              # [2] the tokens that were drawn

    `presets` is one preset for all rows or one for each: a name, a map of values, or a `Preset`.
    `rows` is needed only where neither `presets` nor `prompt_ids` tells it. Ids are lists of lists
    or a tensor of a row each. Raises `PresetError` for an unknown name or a wrong value.
    """

    def __init__(
        self,
        presets: Presets,
        *,
        rows: int | None = None,
        prompt_ids: Ids | None = None,
        output_ids: Ids | None = None,
        catalogue: Catalogue | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        many = isinstance(presets, Sequence) and not isinstance(presets, str)
        given = list(presets) if many else [presets]
        for ids in (prompt_ids, output_ids):
            rows = len(ids) if rows is None and ids is not None else rows
        rows = len(given) if rows is None else rows
        if many and len(given) != rows:
            raise PresetError(
                Problem(
                    "presets", "", "one preset, or one for each row", str(len(given)), str(rows)
                )
            )
        catalogue = catalogue or Catalogue.load()
        self.presets = [as_preset(preset, catalogue) for preset in given]
        self.device = torch.device(device)
        self._table = Table(rows, device)
        self._slots = np.arange(rows, dtype=np.int64)
        chains = [preset.chain for preset in self.presets]
        for slot in range(rows):
            self._table.write(slot, chains[slot if many else 0])
        self._log = TokenLog(rows, device)
        if self._table.uses("history").any():
            prompts = _lists(prompt_ids, rows, "prompt_ids")
            outputs = _lists(output_ids, rows, "output_ids")
            for slot in range(rows):
                self._log.write(slot, prompts[slot], outputs[slot])
        self._remembers = bool(self._table.uses("history").any())

    def run(self, logits: Tensor, *, inplace: bool = False) -> Tensor:
        """The logits whose softmax is the distribution to draw from: [rows, vocab] float32.

        `inplace` changes the given tensor, which must be float32 and on the run's device.
        """
        rows = len(self._slots)
        if logits.ndim != 2 or logits.shape[0] != rows:
            raise PresetError(
                Problem("logits", "", "wrong shape", str(tuple(logits.shape)), f"({rows}, vocab)")
            )
        if inplace and logits.dtype != torch.float32:
            raise PresetError(
                Problem("logits", "", "inplace needs float32", str(logits.dtype), "torch.float32")
            )
        if not inplace:
            logits = logits.to(torch.float32, copy=True)
        steps = self._table.steps(self._slots, logits.shape[1])
        history = self._log.history(self._slots) if self._remembers else None
        return execute(logits, steps, history)

    def accept(self, tokens: Tensor | Sequence[int]) -> None:
        """Appends the drawn token of every row: [rows] integers."""
        if self._remembers:
            self._log.append(torch.as_tensor(tokens, device=self.device).reshape(-1).long())


def _lists(ids: Ids | None, rows: int, name: str) -> list[list[int]]:
    if ids is None:
        return [[] for _ in range(rows)]
    if len(ids) != rows:
        raise PresetError(Problem(name, "", "one list of ids a row", str(len(ids)), str(rows)))
    return ids.tolist() if isinstance(ids, Tensor) else [list(row) for row in ids]


def process(
    logits: Tensor,
    presets: Presets,
    *,
    prompt_ids: Ids | None = None,
    output_ids: Ids | None = None,
    catalogue: Catalogue | None = None,
    inplace: bool = False,
) -> Tensor:
    """One step of any decoding loop: logits in, the logits to draw from out.

    `logits` is [rows, vocab] in any float type, the result float32; `presets` is one preset for
    all rows or one for each (a name, a map of values, or a `Preset`). `prompt_ids` and
    `output_ids` matter to stages with a history: lists of lists, or a tensor of a row each.
    Raises `PresetError` for what isn't allowed.
    """
    run = Run(
        presets,
        rows=logits.shape[0],
        prompt_ids=prompt_ids,
        output_ids=output_ids,
        catalogue=catalogue,
        device=logits.device,
    )
    return run.run(logits, inplace=inplace)
