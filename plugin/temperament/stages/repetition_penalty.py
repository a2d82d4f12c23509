"""Repetition penalty: tokens that were seen become less likely, once each."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER, NUMBER

STAGE = Stage(
    name="repetition_penalty",
    group="penalty",
    parameters=(
        Parameter(
            "repetition_penalty",
            NUMBER,
            "A seen token's logit is divided by this if positive, multiplied if negative.",
            neutral=1.0,
            low=0.0,
            low_open=True,
            slider=(0.5, 2, 0.01),
        ),
        Parameter(
            "repetition_range",
            INTEGER,
            "How many of the last tokens count, 0 for all.",
            default=0,
            low=0,
            high=2**31 - 1,
            slider=(0, 4096, 16),
        ),
    ),
    summary="divides the positive and multiplies the negative logits of seen tokens",
    summary_zh="对提示词和输出中出现过的 token 做一次乘除惩罚",
    source="Keskar et al. 2019, arXiv:1909.05858",
    elsewhere="prompt and output count (as in Transformers and vLLM); SGLang and LMDeploy count"
    " the output only, llama.cpp a window",
    needs=frozenset({"history"}),
    reads_prompt=lambda _: True,
    reads_sign=True,
)
