"""Renormalisation: logits become log-probabilities, after everything else."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG

STAGE = Stage(
    name="renormalize_logits",
    group="last",
    parameters=(
        Parameter(
            "renormalize_logits",
            FLAG,
            "Whether the logits become log-probabilities at the end. Changes no probability.",
            neutral=False,
        ),
    ),
    summary="turns the logits into log-probabilities at the end",
    summary_zh="最后把 logits 归一化为对数概率",
    source="Transformers, LogitNormalization",
    scores=True,
)
