"""What each sampler is. One file a stage; this tuple is the default order of a chain."""

from temperament.stages import (
    frequency_penalty,
    logit_bias,
    min_p,
    presence_penalty,
    repetition_penalty,
    temperature,
    top_k,
    top_p,
)
from temperament.stages.base import FLOAT32_MAX, FLOAT32_TINY, Parameter, Stage

STAGES: tuple[Stage, ...] = (
    logit_bias.STAGE,
    repetition_penalty.STAGE,
    frequency_penalty.STAGE,
    presence_penalty.STAGE,
    temperature.STAGE,
    top_k.STAGE,
    top_p.STAGE,
    min_p.STAGE,
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
    "PARAMETERS",
    "RANK",
    "STAGES",
    "STAGE_OF",
    "Parameter",
    "Stage",
]
