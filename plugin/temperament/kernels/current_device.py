"""On which device a kernel is launched."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def on_device_of(tensor: Tensor) -> Any:
    """Returns a context in which a tensor's device is the current one, on which Triton launches."""
    return torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
