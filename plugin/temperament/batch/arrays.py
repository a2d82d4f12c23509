"""NumPy arrays, which the host reads without waiting for the device, and copies to the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

# [n] int64: numbers of slots, and of places in the table of parameters
Slots = np.ndarray[Any, np.dtype[np.int64]]
Places = np.ndarray[Any, np.dtype[np.int64]]
# [n] bool
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def to_device(values: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    """Returns an array as a tensor; on the CPU both may share memory."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device, non_blocking=True)
