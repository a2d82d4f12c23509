"""How a place's chain lies on the device: a program of opcodes, and a row of numbers.

The kernels read both by the place of a row, so rows with different chains share a launch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temperament.stages import BY_NAME
from temperament.stages.kinds import ColumnKind, EntriesKind

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
P_LESS_NORM = 35
TFS = 36
MIN_K = 37
SKEW = 38
EES = 39
# From here on an operation changes some tokens: those of the history, ...
ENCODER_REPETITION = 40
REPETITION = 41
FREQUENCY = 42
PRESENCE = 43
DRY = 44
NO_REPEAT = 45
ENCODER_NO_REPEAT = 46
# ... those of a list, ...
LOGIT_BIAS = 50
SEQUENCE_BIAS = 51
DECAY = 52
SUPPRESS = 53
BEGIN_SUPPRESS = 54
BAD_WORDS = 55
MIN_NEW_TOKENS = 56
# ... or all but some.
ALLOWED = 60
FORCED_FIRST = 61
FORCED_LAST = 62
VALID = 63
BANNED_TEXTS = 64
# They are the first ones of a program, and a kernel of their own runs them.
ON_SOME = ENCODER_REPETITION
# Those that need the row's order, and so room for it.
ORDERED = frozenset({TFS, MIN_K, EES, SKEW})

# The operations of each stage, in order. A stage with state keeps the distribution for the next
# step by an operation of its own.
OPERATIONS: dict[str, tuple[int, ...]] = {
    "remove_invalid_values": (VALID,),
    "allowed_token_ids": (ALLOWED,),
    "suppress_tokens": (SUPPRESS,),
    "begin_suppress_tokens": (BEGIN_SUPPRESS,),
    "bad_words_ids": (BAD_WORDS,),
    "min_new_tokens": (MIN_NEW_TOKENS,),
    "logit_bias": (LOGIT_BIAS,),
    "sequence_bias": (SEQUENCE_BIAS,),
    "exponential_decay_length_penalty": (DECAY,),
    "forced_bos_token_id": (FORCED_FIRST,),
    "forced_eos_token_id": (FORCED_LAST,),
    "no_repeat_ngram_size": (NO_REPEAT,),
    "encoder_no_repeat_ngram_size": (ENCODER_NO_REPEAT,),
    "banned_strings": (BANNED_TEXTS,),
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
    "p_less_norm": (P_LESS_NORM,),
    "ees": (EES,),
    "tfs": (TFS,),
    "min_k": (MIN_K,),
    "skew": (SKEW,),
    "xtc": (XTC,),
    "mirostat": (MIROSTAT_2, MIROSTAT_STORE),
    "adaptive_p": (ADAPTIVE_STORE, ADAPTIVE),
    "renormalize_logits": (RENORMALIZE,),
    "reproducible": (REPRODUCIBLE,),
}
_MIROSTAT_1 = (MIROSTAT_1, MIROSTAT_1_CUT, MIROSTAT_STORE)

_PARAMETERS = [parameter for stage in OPERATIONS for parameter in BY_NAME[stage].parameters]
ENDS = "<ends>"  # beside the parameters' names: the tokens that end the text
LIMIT = "<limit>"  # the most tokens that are generated, -1 if unknown
# The parameters of these stages that are one number, by column.
COLUMNS: dict[str, int] = {
    name: column
    for column, name in enumerate(
        [*(p.name for p in _PARAMETERS if isinstance(p.kind, ColumnKind)), LIMIT]
    )
}
# The parameters that are lists, by the number of the list.
LISTS: dict[str, int] = {
    name: number
    for number, name in enumerate(
        [*(p.name for p in _PARAMETERS if isinstance(p.kind, EntriesKind)), ENDS]
    )
}
# The numbers of an entry of a list. Entries that end in the same token follow each other: `RUN` is
# how many do from the first one on, and 0 at the others.
FIELDS = 5
TOKEN, VALUE, PREFIX, LENGTH, RUN = range(FIELDS)
# The numbers of a row in modes, in the order of `temperament.batch.mode_state`; a stack follows.
MODE_NUMBERS = (
    "automaton",
    "mode",
    "state",
    "entered",
    "read",
    "top",
    "depth",
    "steps_high",
    "steps_low",
)
STEPS = 1 << sum(map(len, OPERATIONS.values())).bit_length()  # operations of a program, END at last


def program_of(stages: Sequence[str], values: Mapping[str, Any]) -> list[int]:
    """Returns the operations of a chain, filled up with `END` to `STEPS`."""
    operations: list[int] = []
    for stage in stages:
        first = stage == "mirostat" and values["mirostat"] == 1
        operations += _MIROSTAT_1 if first else OPERATIONS[stage]
    return operations + [END] * (STEPS - len(operations))
