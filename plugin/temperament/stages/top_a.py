"""Top-a: keep what has at least a times the square of the largest probability."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="top_a",
    group="cut",
    parameters=(
        Parameter(
            "top_a",
            NUMBER,
            "The least probability, as a share of the square of the most likely token's.",
            neutral=0.0,
            low=0.0,
            high=1.0,
        ),
    ),
    summary="removes tokens with a probability below a times the square of the largest",
    summary_zh="去除概率低于最高概率平方的 a 倍的 token",
    source="BlinkDL, RWKV-LM",
)
