"""P-less-norm: p-less, with a threshold that is 0 where all tokens are equally likely."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG

STAGE = Stage(
    name="p_less_norm",
    group="cut",
    parameters=(
        Parameter(
            "p_less_norm",
            FLAG,
            "Whether tokens less likely than (n * c - 1) / (n - 1) are removed, c the sum of the"
            " squared probabilities of n tokens.",
            neutral=False,
        ),
    ),
    summary="p-less with a lower threshold: 0 where all tokens are equally likely",
    summary_zh="阈值更低的 p-less：各 token 概率相等时阈值为 0（无参数）",
    source="Tan, Wu, Howard 2025, arXiv:2509.23234",
    elsewhere="n counts the tokens still allowed; the authors' program counts removed ones too",
)
