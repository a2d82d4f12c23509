"""Sequence bias: a number added to the token that would complete a sequence."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import SEQUENCE_BIAS

STAGE = Stage(
    name="sequence_bias",
    group="bias",
    parameters=(
        Parameter(
            "sequence_bias",
            SEQUENCE_BIAS,
            "Token sequences and the number added to the logit of their last token.",
            neutral=(),
            low=-1e30,
            high=1e30,
        ),
    ),
    summary="adds a number to the token that would complete a sequence",
    summary_zh="给将要补全某个 token 序列的 token 加上偏置",
    source="Transformers, generation/logits_process.py",
    needs=frozenset({"history"}),
    reads_prompt=lambda values: any(len(tokens) > 1 for tokens, _ in values["sequence_bias"]),
)
