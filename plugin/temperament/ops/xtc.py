"""XTC: with probability P, of the tokens with `p_i >= t` all but the least likely are removed.

`p_i >= t` is `e^(x_i - max) >= t S`, S = sum e^(x - max). Each row draws one number a step, from
its noise. With fewer than two tokens above t nothing is removed. Tokens tied with the least likely
of them stay, and so do protected ones, which still count as top choices. Source:
`temperament.stages.xtc`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.cut import CANDIDATES, masses
from temperament.ops.inputs import Column, Ends, Tokens, Vocabulary
from temperament.ops.largest import candidates
from temperament.ops.noise import XTC, Noise
from temperament.ops.sums import mass, sums


def apply(
    logits: Tensor,
    *,
    xtc_probability: Column,
    xtc_threshold: Column,
    xtc_protected: Tokens,
    xtc_protect_structure: Column,
    noise: Noise,
    ends: Ends,
    vocabulary: Vocabulary | None,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    protects = xtc_protect_structure.values
    protected = [
        (tokens, tokens.counts & counts, logits[tokens.row, tokens.token])
        for tokens, counts in (
            (ends.tokens, protects[ends.tokens.row]),
            (xtc_protected, torch.ones_like(xtc_protected.counts)),
        )
    ]
    rolled = (noise.uniform(XTC) < xtc_probability.values)[:, None]
    _remove(logits, xtc_threshold.per_row(), rolled, protects[:, None], vocabulary)
    for tokens, counts, before in protected:
        place = (tokens.row, tokens.token)
        logits[place] = torch.where(counts, before, logits[place])
    return logits


def _remove(
    logits: Tensor,
    threshold: Tensor,
    rolled: Tensor,
    protects: Tensor,
    vocabulary: Vocabulary | None,
) -> None:
    """Removes the top choices of the rows that rolled, but for tokens with a newline."""
    maximum, total = sums(logits, mass)
    bound = (threshold * total).float()

    def without_top(values: Tensor, tokens: Tensor | None = None) -> Tensor:
        top = (masses(values, maximum) >= bound) & (values > -torch.inf)  # the bound may be 0
        least = torch.where(top, values, torch.inf).amin(dim=-1, keepdim=True)
        removed = top & (values > least) & rolled
        if vocabulary is not None:
            newline = vocabulary.newline if tokens is None else vocabulary.newline[tokens]
            removed &= ~(newline & protects)
        return values.masked_fill(removed, -torch.inf)

    if branches(logits):
        top = candidates(logits, min(CANDIDATES, logits.shape[1]))
        if bool((masses(top.values[:, -1:], maximum) < bound).all()):
            logits.scatter_(1, top.tokens, without_top(*top))
            return
    logits.copy_(without_top(logits))
