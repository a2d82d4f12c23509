"""Presence penalty: a token that was written at all becomes less likely."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="presence_penalty",
    group="penalty",
    parameters=(
        Parameter(
            "presence_penalty",
            NUMBER,
            "Subtracted once from the logit of every token that occurs in the output.",
            neutral=0.0,
            low=-2.0,
            high=2.0,
        ),
    ),
    summary="subtracts a constant from tokens that occur in the output",
    summary_zh="token 在输出中出现过就减去该值（一次）",
    source="OpenAI API reference; reference document 004",
    elsewhere="llama.cpp counts the prompt too",
    needs=frozenset({"history"}),
)
