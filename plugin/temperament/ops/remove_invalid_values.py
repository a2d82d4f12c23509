"""Invalid values: NaN becomes 0, +inf the largest number of float32; -inf stays.

Source: `temperament.stages.remove_invalid_values`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column
from temperament.stages import FLOAT32_MAX


def apply(logits: Tensor, *, remove_invalid_values: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    if remove_invalid_values.low > 0:
        return logits.nan_to_num_(nan=0.0, posinf=FLOAT32_MAX, neginf=-torch.inf)
    valid = logits.nan_to_num(nan=0.0, posinf=FLOAT32_MAX, neginf=-torch.inf)
    return logits.copy_(torch.where(remove_invalid_values.per_row() > 0, valid, logits))
