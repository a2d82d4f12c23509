"""How a place's chain lies on the device: a program of opcodes, and a row of numbers.

The kernels read both by the place of a row, so rows with different chains share a launch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temperament.stages import BY_NAME
from temperament.stages.kinds import ColumnKind

END = 0
TEMPERATURE = 1
TOP_K = 2
MIN_P = 3
TOP_N_SIGMA = 4
TOP_H_MOST = 5
SMOOTHING = 6
REPRODUCIBLE = 7
MIROSTAT_1_CUT = 8
# From here on an operation needs the sums over the row's allowed tokens.
TOP_P = 20
TYPICAL_P = 21
EPSILON = 22
ETA = 23
TOP_A = 24
P_LESS = 25
DYNAMIC_TEMPERATURE = 26
XTC = 27
MIROSTAT_1 = 28
MIROSTAT_2 = 29
MIROSTAT_STORE = 30
ADAPTIVE_STORE = 31
ADAPTIVE = 32
RENORMALIZE = 33
TOP_H = 34
# From here on an operation changes the tokens of the history: the first ones of a program.
ENCODER_REPETITION = 40
REPETITION = 41
FREQUENCY = 42
PRESENCE = 43
DRY = 44
ON_HISTORY = ENCODER_REPETITION

# The operations of each stage, in order. A stage with state keeps the distribution for the next
# step by an operation of its own.
OPERATIONS: dict[str, tuple[int, ...]] = {
    "encoder_repetition_penalty": (ENCODER_REPETITION,),
    "repetition_penalty": (REPETITION,),
    "frequency_penalty": (FREQUENCY,),
    "presence_penalty": (PRESENCE,),
    "dry": (DRY,),
    "temperature": (TEMPERATURE,),
    "dynamic_temperature": (DYNAMIC_TEMPERATURE,),
    "smoothing": (SMOOTHING,),
    "top_k": (TOP_K,),
    "top_p": (TOP_P,),
    "min_p": (MIN_P,),
    "typical_p": (TYPICAL_P,),
    "epsilon_cutoff": (EPSILON,),
    "eta_cutoff": (ETA,),
    "top_a": (TOP_A,),
    "top_n_sigma": (TOP_N_SIGMA,),
    "top_h": (TOP_H_MOST, TOP_H),
    "p_less": (P_LESS,),
    "xtc": (XTC,),
    "mirostat": (MIROSTAT_2, MIROSTAT_STORE),
    "adaptive_p": (ADAPTIVE_STORE, ADAPTIVE),
    "renormalize_logits": (RENORMALIZE,),
    "reproducible": (REPRODUCIBLE,),
}
_MIROSTAT_1 = (MIROSTAT_1, MIROSTAT_1_CUT, MIROSTAT_STORE)

# The parameters of these stages that are one number, by column.
COLUMNS: dict[str, int] = {
    name: column
    for column, name in enumerate(
        parameter.name
        for stage in OPERATIONS
        for parameter in BY_NAME[stage].parameters
        if isinstance(parameter.kind, ColumnKind)
    )
}
STEPS = 1 << sum(map(len, OPERATIONS.values())).bit_length()  # operations of a program, END at last


def program_of(stages: Sequence[str], values: Mapping[str, Any]) -> list[int]:
    """Returns the operations of a chain, filled up with `END` to `STEPS`."""
    operations: list[int] = []
    for stage in stages:
        first = stage == "mirostat" and values["mirostat"] == 1
        operations += _MIROSTAT_1 if first else OPERATIONS[stage]
    return operations + [END] * (STEPS - len(operations))
