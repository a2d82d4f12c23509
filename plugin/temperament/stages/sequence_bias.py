"""Sequence bias: a number added to the token that would complete a sequence."""

from temperament.stages.base import Parameter, Stage

STAGE = Stage(
    name="sequence_bias",
    group="bias",
    parameters=(
        Parameter(
            "sequence_bias",
            "sequence_bias",
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
)
