"""Mirostat: keeps the surprise of drawn tokens, in bits, at tau: `mu' = mu - eta (s - tau)`.

Version 2 keeps `-log2 p_i <= mu`; version 1 estimates the exponent of the 100 largest
probabilities and from it how many tokens to keep. mu starts at `2 tau`; the most likely token
always stays. Source: `temperament.stages.mirostat` (algorithms 1 and 2 of the paper).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.cut import keep_at_least, least_likely
from temperament.ops.history import History
from temperament.ops.inputs import Column
from temperament.ops.largest import largest
from temperament.ops.state import State
from temperament.ops.sums import mass, sums

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
    maximum, total = sums(logits, mass)
    bound = least_likely(maximum, total.log() - (mu * math.log(2))[:, None])
    if mirostat.low == 1:
        bound = torch.where(mirostat.per_row() == 1, _last(logits, mu), bound)
    keep_at_least(logits, bound)
    state.store(mu, logits, history)
    return logits


def _last(logits: Tensor, mu: Tensor) -> Tensor:
    """The k-th largest logit of version 1, [rows, 1], for mu in [rows]."""
    vocabulary = logits.shape[1]
    top = largest(logits, min(ESTIMATED_FROM, vocabulary)).double()
    # The slope of b_i = ln(p_i / p_(i+1)) against t_i = ln((i + 1) / i), over the allowed tokens
    fall = top[:, :-1] - top[:, 1:]
    counts = top[:, 1:] > -torch.inf
    number = torch.arange(1, top.shape[1], device=logits.device, dtype=torch.float64)
    step = ((number + 1) / number).log()
    products = torch.where(counts, step * fall, 0.0).sum(1, keepdim=True)
    squares = torch.where(counts, step.square(), 0.0).sum(1, keepdim=True)
    exponent = (products / squares).nan_to_num(nan=1.0).clamp_min(1e-3)
    # k = (e 2^mu / (1 - N^-e))^(1 / s), e = s - 1; for e = 0 the fraction is 2^mu / ln N
    epsilon = exponent - 1
    size = math.log(max(vocabulary, 2))
    share = torch.where(epsilon.abs() < 1e-9, 1 / size, epsilon / -torch.expm1(-epsilon * size))
    count = ((share.log() + mu[:, None] * math.log(2)) / exponent).exp()
    count = count.nan_to_num(nan=1.0).clamp(1, vocabulary).long()
    most = int(count.amax()) if branches(logits) and count.numel() else vocabulary
    return largest(logits, most).gather(1, count - 1)
