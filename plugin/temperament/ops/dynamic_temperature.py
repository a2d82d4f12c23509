"""Dynamic temperature: `x / T` with `T = low + (high - low) * (H / Hmax)^e`.

H is the entropy, Hmax the logarithm of the number of candidates. One candidate, or low = high:
no-op. T is at least 2^-126, so it is never greedy between equal logits. Source:
`temperament.stages.dynamic_temperature`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops import temperature
from temperament.ops.cut import entropy
from temperament.ops.inputs import Column
from temperament.ops.sums import allowed
from temperament.stages import FLOAT32_TINY


def apply(
    logits: Tensor,
    *,
    dynatemp_low: Column,
    dynatemp_high: Column,
    dynatemp_exponent: Column,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    _, _, nats = entropy(logits)
    candidates = allowed(logits)
    share = (nats / candidates.log()).clamp(0.0, 1.0)
    bent = (share.log() * dynatemp_exponent.per_row()).exp()
    low, high = dynatemp_low.per_row().double(), dynatemp_high.per_row().double()
    values = (low * (1 - bent) + high * bent).float().clamp(min=FLOAT32_TINY)
    active = (low != high) & values.isfinite() & (candidates > 1)
    chosen = Column(
        torch.where(active, values, 1.0)[:, 0],
        # half and double, whatever rounding does
        max(min(dynatemp_low.low, dynatemp_high.low, 1.0) / 2, FLOAT32_TINY),
        max(dynatemp_low.high, dynatemp_high.high, 1.0) * 2,
    )
    return temperature.apply(logits, temperature=chosen)
