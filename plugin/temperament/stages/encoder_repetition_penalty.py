"""Encoder repetition penalty: tokens of the source text become more likely."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="encoder_repetition_penalty",
    group="penalty",
    parameters=(
        Parameter(
            "encoder_repetition_penalty",
            NUMBER,
            "A prompt token's logit is multiplied by this if positive, divided if negative.",
            neutral=1.0,
            low=0.0,
            low_open=True,
            slider=(0.5, 2, 0.01),
        ),
    ),
    summary="raises the tokens of the source text",
    summary_zh="提高提示词中 token 的概率",
    source="Transformers, generation/logits_process.py",
    elsewhere="Transformers reads the encoder's text; for a decoder alone, and here, that is the"
    " prompt",
    needs=frozenset({"history"}),
    reads_prompt=lambda _: True,
    reads_sign=True,
)
