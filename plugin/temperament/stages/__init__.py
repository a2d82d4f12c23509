"""What each sampler is: one file for each stage. `ORDER` is the default order of a chain."""

from importlib import import_module

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLOAT32_MAX, FLOAT32_TINY

ORDER = (
    "remove_invalid_values",
    "allowed_token_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "min_new_tokens",
    "logit_bias",
    "sequence_bias",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "encoder_repetition_penalty",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "dry",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "banned_strings",
    "temperature",
    "dynamic_temperature",
    "smoothing",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "top_a",
    "tfs",
    "top_n_sigma",
    "min_k",
    "top_h",
    "p_less",
    "p_less_norm",
    "ees",
    "xtc",
    "skew",
    "mirostat",
    "adaptive_p",
    "renormalize_logits",
    "reproducible",
)

STAGES: tuple[Stage, ...] = tuple(
    import_module(f"temperament.stages.{name}").STAGE for name in ORDER
)

BY_NAME: dict[str, Stage] = {stage.name: stage for stage in STAGES}
RANK: dict[str, int] = {stage.name: rank for rank, stage in enumerate(STAGES)}
PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter for stage in STAGES for parameter in stage.parameters
}
STAGE_OF: dict[str, Stage] = {
    parameter.name: stage for stage in STAGES for parameter in stage.parameters
}

__all__ = [
    "BY_NAME",
    "FLOAT32_MAX",
    "FLOAT32_TINY",
    "ORDER",
    "PARAMETERS",
    "RANK",
    "STAGES",
    "STAGE_OF",
    "Parameter",
    "Stage",
]
