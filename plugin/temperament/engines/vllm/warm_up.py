"""The start of a runner on a GPU: its kernels are compiled, or the log says why none run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from vllm.logger import init_logger

from temperament.batch.kernel_choice import do_without_kernels, runs_kernels
from temperament.batch.rows import Rows

logger = init_logger("vllm.temperament")


def warm_up(device: torch.device, new_rows: Callable[[], Rows], vocabulary: int) -> None:
    """Compiles the kernels and runs them once; where that fails, the torch operators run.

    `new_rows` returns rows on the device, which aren't kept.
    """
    if not runs_kernels(device):
        if device.type != "cpu":
            logger.info("temperament: no Triton kernels here: presets run as torch operators")
        return
    try:
        new_rows().table.warm_up(vocabulary)
    except Exception as error:  # of a compiler or a driver: it must not end the server
        logger.warning(
            "temperament: no Triton kernels here, presets run as torch operators: %r",
            error,
        )
        do_without_kernels(device)
