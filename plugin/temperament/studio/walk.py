"""A chain run stage by stage on one row: the distribution before and after each stage.

`temperament.Run` computes every stage, as in an engine; this file contains no formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from temperament.batch.process import Run
from temperament.presets import Catalogue, Preset
from temperament.presets.chain import Chain
from temperament.studio.distribution import entropy, probabilities

_NO_PRESETS = Catalogue({})  # one stage extends no preset


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """The distribution after one stage, and what the stage changed.

    `stage` is empty for the model's distribution before the first stage. `entropy`
    is in nats. `moved` is the total variation distance to the distribution before the stage: the
    probability mass that went from one token to another.
    """

    stage: str
    values: Mapping[str, Any]
    # [vocab] float64, sums to 1
    probabilities: Tensor
    # [vocab] bool, the tokens that are still possible
    kept: Tensor
    entropy: float
    # [removed] int64 ids, the most likely first
    removed: Tensor
    removed_mass: float
    moved: float


def walk(
    logits: Tensor,
    chain: Chain,
    *,
    prompt_ids: Sequence[int] = (),
    output_ids: Sequence[int] = (),
    seed: int = 0,
    limit: int | None = None,
    tokenizer: Any = None,
) -> list[Snapshot]:
    """Returns the model's distribution, then the distribution after each stage of `chain`.

    `logits` is [vocab] in any float type and isn't changed; -inf marks an impossible token. `seed`
    determines the noise of random stages, `limit` is the row's `max_tokens`. Raises `PresetError`
    if a stage needs `tokenizer` and there is none.
    """
    row = logits.to(torch.float32, copy=True)[None]
    before = _snapshot("", {}, row, None)
    snapshots = [before]
    generation = {} if limit is None else {"max_tokens": limit}
    for step in chain.steps:
        run = Run(
            Preset(step.stage, dict(step.values), generation=generation),
            prompt_ids=[prompt_ids],
            output_ids=[output_ids],
            seeds=[seed],
            tokenizer=tokenizer,
            catalogue=_NO_PRESETS,
            device=logits.device,
        )
        row = run.run(row)
        before = _snapshot(step.stage, dict(step.values), row, before)
        snapshots.append(before)
    return snapshots


def _snapshot(
    stage: str, values: Mapping[str, Any], row: Tensor, before: Snapshot | None
) -> Snapshot:
    shares = probabilities(row)[0]
    kept = row[0] > -torch.inf
    left = float(entropy(shares))
    if before is None:
        none = torch.zeros(0, dtype=torch.int64)
        return Snapshot(stage, values, shares, kept, left, none, 0.0, 0.0)
    gone = torch.where(before.kept & ~kept)[0]
    mass = before.probabilities[gone]
    return Snapshot(
        stage,
        values,
        shares,
        kept,
        left,
        gone[mass.argsort(descending=True, stable=True)],
        float(mass.sum()),
        float((shares - before.probabilities).abs().sum() / 2),
    )
