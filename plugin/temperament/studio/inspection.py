"""What presets do to the distribution of the next token, stage by stage, as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from temperament.errors import PresetError, Problem
from temperament.presets import Preset
from temperament.presets.plain import plain_values
from temperament.presets.resolve import merge
from temperament.stages import BY_NAME
from temperament.studio.model_source import Source
from temperament.studio.walk import Snapshot, walk

_NAMED = 10  # removed tokens whose texts are shown


@dataclass(frozen=True, eq=False, slots=True)
class Inspected:
    """The snapshots of one preset, the model's distribution before any stage first.

    A preset with modes has one `Inspected` for each mode; without modes, `mode` is empty.
    """

    preset: Preset
    mode: str
    snapshots: list[Snapshot]
    # the texts of the most likely tokens that each snapshot's stage removed
    removed: list[list[str]]


@dataclass(frozen=True, eq=False, slots=True)
class Inspection:
    """Several presets on one prompt. `tokens` are the ids to show and their texts.

    `seen` is the probability mass of the tokens that the source returned: 1 for local weights.
    `inexact` names the stages whose numbers aren't exact, since they need logits and the source
    returned log-probabilities.
    """

    model: str
    prompt: str
    ids: list[int]
    seen: float
    inexact: list[str]
    tokens: list[tuple[int, str]]
    presets: list[Inspected]


async def inspect(
    source: Source,
    presets: Sequence[Preset],
    prompt: str,
    *,
    chat: bool = False,
    seed: int = 0,
    top: int = 20,
) -> Inspection:
    """Runs each preset's chain, over the source's defaults, on the token after `prompt`.

    The `top` tokens to show are those that are most likely in any of the distributions. Raises
    `TemperamentError` for an unbound preset, and for what a preset or the source can't do.
    """
    refuse_unbound(presets)
    ids = await source.encode(prompt, chat=chat)
    logits = await source.logits(ids)
    walks = []
    for preset in presets:
        resolved = merge(preset, model_values=source.defaults)
        for mode, chain in resolved.chains.items():
            snapshots = walk(
                logits.row,
                chain,
                prompt_ids=ids,
                seed=seed,
                limit=resolved.generation.get("max_tokens"),
                tokenizer=source.tokenizer,
            )
            walks.append((resolved, mode, snapshots))
    shown = _most_likely([s for _, _, snapshots in walks for s in snapshots], top)
    tokens = list(zip(shown, await source.texts(shown), strict=True))
    inspected = [
        Inspected(
            preset,
            mode,
            snapshots,
            [await source.texts(s.removed[:_NAMED].tolist()) for s in snapshots],
        )
        for preset, mode, snapshots in walks
    ]
    stages = {snapshot.stage for _, _, snapshots in walks for snapshot in snapshots}
    reading_sign = sorted(stage for stage in stages if stage and BY_NAME[stage].reads_sign)
    inexact = [] if logits.absolute else reading_sign
    return Inspection(source.name, prompt, ids, logits.seen, inexact, tokens, inspected)


def refuse_unbound(presets: Sequence[Preset]) -> None:
    """Raises `PresetError` with every preset whose numbers depend on a model that isn't known."""
    problems = [Problem(p.name, "", p.unbound) for p in presets if p.unbound]
    if problems:
        raise PresetError(problems)


def _most_likely(snapshots: Sequence[Snapshot], top: int) -> list[int]:
    """The ids of the `top` most likely tokens of all snapshots, in the order of the first one."""
    best = torch.stack([snapshot.probabilities for snapshot in snapshots]).amax(0)
    found = best.topk(min(top, int((best > 0).sum()))).indices
    first = snapshots[0].probabilities[found]
    return [int(token) for token in found[first.argsort(descending=True, stable=True)]]


def as_json(inspection: Inspection) -> dict[str, Any]:
    """The numbers of an inspection. Entropies are in nats."""
    return {
        "model": inspection.model,
        "prompt": inspection.prompt,
        "prompt_ids": inspection.ids,
        "seen": inspection.seen,
        "inexact": inspection.inexact,
        "tokens": [{"id": token, "text": text} for token, text in inspection.tokens],
        "presets": [_inspected_as_json(inspection, inspected) for inspected in inspection.presets],
    }


def _inspected_as_json(inspection: Inspection, inspected: Inspected) -> dict[str, Any]:
    shown = [token for token, _ in inspection.tokens]
    return {
        "preset": inspected.preset.name,
        "digest": inspected.preset.digest,
        "mode": inspected.mode,
        "stages": [
            {
                "stage": snapshot.stage,
                "values": plain_values(snapshot.values),
                "entropy": snapshot.entropy,
                "perplexity": math.exp(snapshot.entropy),
                "kept": int(snapshot.kept.sum()),
                "removed": len(snapshot.removed),
                "removed_mass": snapshot.removed_mass,
                "removed_tokens": removed,
                "moved": snapshot.moved,
                # of `tokens`; null for an impossible one
                "probabilities": [
                    float(snapshot.probabilities[token]) if snapshot.kept[token] else None
                    for token in shown
                ],
            }
            for snapshot, removed in zip(inspected.snapshots, inspected.removed, strict=True)
        ],
    }
