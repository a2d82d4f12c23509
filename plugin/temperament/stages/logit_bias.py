"""Logit bias: a number added to the logits of chosen tokens."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import TOKEN_BIAS

STAGE = Stage(
    name="logit_bias",
    group="bias",
    parameters=(
        Parameter(
            "logit_bias",
            TOKEN_BIAS,
            "Token id to the number that is added to its logit.",
            neutral=(),
        ),
    ),
    summary="adds a number to the logits of chosen tokens",
    summary_zh="给指定 token 的 logit 加上一个值",
    source="OpenAI API reference",
    elsewhere="vLLM cuts values to [-100, 100] without a word; llama.cpp reads false as a ban",
)
