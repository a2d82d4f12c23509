"""Where the kernels run: on devices with Triton.

These are GPUs, unless `TEMPERAMENT_KERNELS=off`, and the CPU only if
`TEMPERAMENT_KERNELS=interpret` asks for Triton's interpreter, which is for tests.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

import torch

from temperament.compiled.prepared import SWITCH


@cache
def has_triton() -> bool:
    """Returns whether the kernels can be imported."""
    return find_spec("triton") is not None


# Devices on which the kernels could not be compiled or run.
_failed: set[torch.device] = set()


def do_without_kernels(device: torch.device) -> None:
    """Makes new rows on a device run as torch operators from now on."""
    _failed.add(device)


def runs_kernels(device: torch.device) -> bool:
    """Returns whether the kernels run on a device; a meta device is treated as a GPU."""
    if device in _failed:
        return False
    switch = os.environ.get(SWITCH)
    on = switch == "interpret" if device.type == "cpu" else switch != "off"
    return on and device.type in ("cpu", "cuda", "meta") and has_triton()
