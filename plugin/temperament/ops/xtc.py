"""XTC: with probability P, of the tokens with `p_i >= t` all but the least likely are removed.

One roll a row and step, from the row's own noise. Fewer than two above t: nothing. Tokens tied with
the least likely of them stay, and so do protected ones, which still count as top choices. Source:
`temperament.stages.xtc`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column, Ends, Tokens, Vocabulary
from temperament.ops.noise import XTC, Noise


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
    rolled = noise.uniform(XTC) < xtc_probability.values
    top = logits.softmax(dim=-1) >= xtc_threshold.per_row()
    top &= logits > -torch.inf  # the threshold may be 0
    # Told apart by logits: probabilities may underflow to equal ones.
    least = torch.where(top, logits, torch.inf).amin(dim=-1, keepdim=True)
    removed = top & (logits > least) & rolled[:, None]
    protects = xtc_protect_structure.values
    if vocabulary is not None:
        removed &= ~(vocabulary.newline & protects[:, None])
    for tokens, counts in ((ends.tokens, protects[ends.tokens.row]), (xtc_protected, True)):
        place = (tokens.row, tokens.token)
        removed[place] = removed[place] & ~(tokens.counts & counts)
    return logits.masked_fill_(removed, -torch.inf)
