"""Reproducible: `argmax_i (x_i + g_i)` stays alone, g standard Gumbel noise of (seed, position, i).

This draws from the softmax of the logits and leaves the engine one choice. Only tokens that are
still allowed get noise. Source: `temperament.stages.reproducible`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.inputs import Column
from temperament.ops.noise import TOKEN, Noise


def apply(logits: Tensor, *, reproducible: Column, noise: Noise) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    del reproducible  # a row is here only if it is on
    token = _of_kept(logits, noise) if branches(logits) else _of_all(logits, noise)
    value = logits.gather(1, token)
    return logits.fill_(-torch.inf).scatter_(1, token, value)


def _of_all(logits: Tensor, noise: Noise) -> Tensor:
    """Returns the drawn tokens, [rows, 1]. A removed one can't win: -inf plus noise is -inf."""
    tokens = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape)
    return (logits.double() + noise.gumbel(TOKEN, tokens)).argmax(dim=-1, keepdim=True)


def _of_kept(logits: Tensor, noise: Noise) -> Tensor:
    """Returns the same at a cost that follows the number of allowed tokens. NaN is the largest."""
    rows, vocabulary = logits.shape
    array = logits.numpy()
    kept = torch.from_numpy(np.flatnonzero(array != -np.inf))
    row, token = kept // vocabulary, kept % vocabulary
    values = logits.view(-1)[kept].double() + noise.gumbel_of(TOKEN, row, token)
    best = values.new_full((rows,), -torch.inf).scatter_reduce_(0, row, values, "amax")
    wins = (values == best[row]) | values.isnan()
    first = token.new_full((rows,), vocabulary).scatter_reduce_(
        0, row, torch.where(wins, token, vocabulary), "amin"
    )
    return torch.where(first < vocabulary, first, 0)[:, None]
