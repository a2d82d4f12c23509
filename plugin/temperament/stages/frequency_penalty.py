"""Frequency penalty: each time that a token was written makes it less likely."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="frequency_penalty",
    group="penalty",
    parameters=(
        Parameter(
            "frequency_penalty",
            NUMBER,
            "Subtracted from a token's logit for each time that it occurs in the output.",
            neutral=0.0,
            low=-2.0,
            high=2.0,
        ),
    ),
    summary="subtracts a constant for each occurrence in the output",
    summary_zh="token 在输出中每出现一次就减去该值",
    source="OpenAI API reference; reference document 004",
    elsewhere="llama.cpp counts the prompt too",
    needs=frozenset({"history"}),
)
