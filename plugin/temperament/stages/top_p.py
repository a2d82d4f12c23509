"""Top-p (nucleus): the smallest set of most likely tokens whose mass reaches p."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="top_p",
    group="cut",
    parameters=(
        Parameter(
            "top_p",
            NUMBER,
            "The probability mass that must be reached; the token that crosses it stays.",
            neutral=1.0,
            low=0.0,
            high=1.0,
        ),
    ),
    summary="keeps the smallest set of most likely tokens with mass of at least p",
    summary_zh="保留累积概率达到 p 的最小高概率集合",
    source="Holtzman et al. 2019, arXiv:1904.09751; reference documents 000, 001, 003, 004",
    elsewhere="ExLlamaV3 drops the token that crosses p; vLLM refuses 0",
)
