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


class Uploads:
    """Arrays by name, each copied to the device only if it isn't what was copied last."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # name -> (the array's bytes, its copy)
        self._kept: dict[str, tuple[bytes, Tensor]] = {}

    def of(self, name: str, values: np.ndarray[Any, Any]) -> Tensor:
        """Returns an array on the device; nobody may change it there."""
        content = values.tobytes()
        kept = self._kept.get(name)
        if kept is not None and kept[0] == content:
            return kept[1]
        copied = to_device(values.copy(), self._device)
        self._kept[name] = content, copied
        return copied
