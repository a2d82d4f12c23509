"""Presets in a decoding loop of one's own: one step with `process`, many with `Run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.request import check_tokenizer, request_of, seed_of
from temperament.batch.rows import Rows
from temperament.errors import PresetError, Problem
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Presets, as_presets

Ids = Sequence[Sequence[int]] | Tensor


class Run:
    """Presets for the rows of a decoding loop of one's own, step by step.

    ::

        run = Run(["code", "creative"], prompt_ids=ids)
        logits = run.run(model_logits)  # [2, vocab] float32: softmax and draw from these
        run.accept(tokens)              # [2] the tokens that were drawn

    `presets` is one preset for all rows or one for each: a name, a map of values, or a `Preset`.
    `rows` is needed only where neither `presets` nor `prompt_ids` tells it. Ids are lists of lists
    or a tensor of a row each. `seeds`, one for each row, fix what stages with chance draw; without
    them a preset's own seed does, or a fresh one. `tokenizer` is needed by stages that know texts.

    Raises `PresetError` for an unknown name or a wrong value, or for what a stage lacks.
    """

    def __init__(
        self,
        presets: Presets,
        *,
        rows: int | None = None,
        prompt_ids: Ids | None = None,
        output_ids: Ids | None = None,
        seeds: Sequence[int] | None = None,
        tokenizer: Any = None,
        catalogue: Catalogue | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.presets, many = as_presets(
            presets, Catalogue.load() if catalogue is None else catalogue
        )
        for ids in (prompt_ids, output_ids):
            rows = len(ids) if rows is None and ids is not None else rows
        rows = len(self.presets) if rows is None else rows
        for name, values in (("presets", self.presets if many else None), ("seeds", seeds)):
            if values is not None and len(values) != rows:
                raise PresetError(
                    Problem(name, "", "one for each row", str(len(values)), f"{rows} of them")
                )
        check_tokenizer(self.presets, tokenizer)
        vocabulary = None if tokenizer is None else TokenBytes.of(tokenizer)
        self._rows = Rows(rows, device, None if vocabulary is None else lambda: vocabulary)
        self._slots = np.arange(rows, dtype=np.int64)
        requests = [
            request_of(preset, ends=vocabulary.ends if vocabulary is not None else ())
            for preset in self.presets
        ]
        prompts = _lists(prompt_ids, rows, "prompt_ids")
        outputs = _lists(output_ids, rows, "output_ids")
        for row in range(rows):
            request = requests[row if many else 0]
            seed = seeds[row] if seeds is not None else seed_of(self.presets[row if many else 0])
            self._rows.write(row, replace(request, seed=seed), prompts[row], outputs[row])
        self._followed = np.array([row for row in range(rows) if self._rows.follows(row)], int)

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
        return self._rows.run(logits, self._slots)

    def accept(self, tokens: Tensor | Sequence[int]) -> None:
        """Appends the drawn token of every row: [rows] integers."""
        drawn = torch.as_tensor(tokens, device=self._rows.device).reshape(-1).long()
        if drawn.shape[0] != len(self._slots):
            raise PresetError(
                Problem("tokens", "", "one for each row", str(len(drawn)), str(len(self._slots)))
            )
        if len(self._followed):
            own = drawn[torch.from_numpy(self._followed).to(drawn.device)]
            self._rows.log.append(own, self._followed)


def process(
    logits: Tensor,
    presets: Presets,
    *,
    prompt_ids: Ids | None = None,
    output_ids: Ids | None = None,
    seeds: Sequence[int] | None = None,
    tokenizer: Any = None,
    catalogue: Catalogue | None = None,
    inplace: bool = False,
) -> Tensor:
    """One step of any decoding loop: logits in, the logits to draw from out.

    `logits` is [rows, vocab] in any float type, the result float32; `presets` is one preset for
    all rows or one for each (a name, a map of values, or a `Preset`). `prompt_ids` and
    `output_ids` matter to stages that know the history: lists of lists, or a tensor of a row each.
    `seeds` and `tokenizer` are those of `Run`. Raises `PresetError` for what isn't allowed.
    """
    run = Run(
        presets,
        rows=logits.shape[0] if logits.ndim else 0,
        prompt_ids=prompt_ids,
        output_ids=output_ids,
        seeds=seeds,
        tokenizer=tokenizer,
        catalogue=catalogue,
        device=logits.device,
    )
    return run.run(logits, inplace=inplace)


def _lists(ids: Ids | None, rows: int, name: str) -> list[list[int]]:
    if ids is None:
        return [[] for _ in range(rows)]
    if len(ids) != rows:
        raise PresetError(Problem(name, "", "one list of ids a row", str(len(ids)), str(rows)))
    return ids.tolist() if isinstance(ids, Tensor) else [list(row) for row in ids]
