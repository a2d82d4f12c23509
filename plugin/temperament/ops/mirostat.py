"""Mirostat: keeps the surprise of drawn tokens, in bits, at tau: `mu' = mu - eta (s - tau)`.

Version 2 keeps `-log2 p_i <= mu`; version 1 estimates the exponent of the 100 largest
probabilities and from it how many tokens to keep. mu starts at `2 tau`; the most likely token
always stays. Source: `temperament.stages.mirostat` (algorithms 1 and 2 of the paper).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from temperament.ops.cut import branches, largest
from temperament.ops.inputs import Column, History, State

ESTIMATED_FROM = 100


def apply(
    logits: Tensor,
    *,
    mirostat: Column,
    mirostat_tau: Column,
    mirostat_eta: Column,
    history: History,
    state: State,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    tau, eta = mirostat_tau.values.double(), mirostat_eta.values.double()
    mu, drawn, followed = state.drawn(history)
    mu = torch.where(mu.isnan(), 2 * tau, mu)
    surprise = -drawn.double() / math.log(2)
    mu = torch.where(followed, mu - eta * (surprise - tau), mu)
    logp = logits.log_softmax(dim=-1)
    threshold = torch.minimum((-mu * math.log(2)).float(), logp.amax(dim=-1))[:, None]
    if mirostat.low == 1:
        threshold = torch.where(mirostat.per_row() == 1, _first(logp, mu), threshold)
    logits.masked_fill_(logp < threshold, -torch.inf)
    state.store(mu, logits.log_softmax(dim=-1), history)
    return logits


def _first(logp: Tensor, mu: Tensor) -> Tensor:
    """The threshold of version 1, [rows, 1]: the log-probability of the k-th token."""
    vocabulary = logp.shape[1]
    top = largest(logp, min(ESTIMATED_FROM, vocabulary)).double()
    # b_i = ln(p_i / p_(i+1)) against t_i = ln((i + 2) / (i + 1)), over what is still allowed
    fall = top[:, :-1] - top[:, 1:]
    counts = top[:, 1:] > -torch.inf
    number = torch.arange(1, top.shape[1], device=logp.device, dtype=torch.float64)
    step = ((number + 1) / number).log()
    above = torch.where(counts, step * fall, 0.0).cumsum(1)[:, -1:]
    below = torch.where(counts, step.square(), 0.0).cumsum(1)[:, -1:]
    if top.shape[1] == 1:
        return top.float()
    exponent = (above / below).nan_to_num(nan=1.0).clamp_min(1e-3)
    epsilon = exponent - 1
    size = math.log(vocabulary)
    flat = epsilon.abs() < 1e-9
    share = torch.where(flat, 1 / size, epsilon / -torch.expm1(-epsilon * size))
    count = (share * 2.0 ** mu[:, None]) ** (1 / exponent)
    count = count.nan_to_num(nan=1.0).clamp(1, vocabulary).long()
    most = int(count.amax()) if branches(logp) and count.numel() else vocabulary
    return largest(logp, most).gather(1, count - 1)
