"""Whether this process has the compiled functions: only after `prepare`.

Nothing else imports the files that numba compiles, since importing them takes seconds.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

SWITCH = "TEMPERAMENT_KERNELS"

# the modules, None before `prepare`
chains: Any = None
cuts: Any = None
ranking: Any = None


def prepare() -> bool:
    """Compiles the samplers for the CPU; returns whether this process has them now.

    Chains with `top_k`, and the stages that sum over a row or sort it, then take a sixth to two
    thirds of the time, with the same bits. It needs numba, which vLLM brings along. It takes some
    seconds, and one where an earlier process did it. Engines of vLLM that have a process of their
    own do it when they start; elsewhere call it before the first step. vLLM 0.32 on a CPU starts no
    engine in a process that has imported numba: where the engine is in your process, call this
    after `LLM(...)`. `TEMPERAMENT_KERNELS=off` turns it off.
    """
    global chains, cuts, ranking  # noqa: PLW0603
    if os.environ.get(SWITCH) == "off" or find_spec("numba") is None:
        return False
    from numba import config

    if config.DISABLE_JIT:
        return False
    chains = import_module("temperament.compiled.chains")
    cuts = import_module("temperament.compiled.cuts")
    ranking = import_module("temperament.compiled.ranking")
    return True
