"""XTC: with probability P, of the tokens with `p_i >= t` all but the least likely are removed.

One roll a row and step, from the row's own noise. Fewer than two above t: nothing. Tokens tied with
the least likely of them stay, and so do protected ones. Source: `temperament.stages.xtc`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column, History, Tokens, Vocabulary
from temperament.ops.noise import XTC, Noise


def apply(
    logits: Tensor,
    *,
    xtc_probability: Column,
    xtc_threshold: Column,
    xtc_protected: Tokens,
    xtc_protect_structure: Column,
    history: History,
    noise: Noise,
    vocabulary: Vocabulary | None,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    rolled = noise.uniform(XTC) < xtc_probability.values
    p = logits.softmax(dim=-1)
    top = (p >= xtc_threshold.per_row()) & (logits > -torch.inf)  # the threshold may be 0
    least = torch.where(top, p, torch.inf).amin(dim=-1, keepdim=True)
    removed = top & (p > least) & rolled[:, None]
    if vocabulary is not None:
        structural = vocabulary.structural[: logits.shape[1]]
        removed[:, : structural.shape[0]] &= ~(structural & xtc_protect_structure.per_row())
    if xtc_protected.row.shape[0]:
        removed[xtc_protected.row, xtc_protected.token] = False
    return logits.masked_fill_(removed, -torch.inf)
