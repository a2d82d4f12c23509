"""P-less: keep what is at least as likely as two draws are to be equal."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG, NUMBER

STAGE = Stage(
    name="p_less",
    group="cut",
    parameters=(
        Parameter(
            "p_less",
            FLAG,
            "Whether tokens less likely than the sum of the squared probabilities are removed.",
            neutral=False,
        ),
        Parameter(
            "p_less_order",
            NUMBER,
            "The order k of the Rényi entropy H whose e^-H is the threshold: 2 gives the sum of the"
            " squares, a larger k keeps fewer tokens.",
            default=2.0,
            low=1.01,
            slider=(1.01, 10, 0.01),
        ),
    ),
    summary="removes tokens less likely than the sum of the squared probabilities",
    summary_zh="去除概率低于各概率平方和的 token（无参数）",
    source="Tan, Wu, Howard 2025, arXiv:2509.23234",
    elsewhere="the order is that of the paper's appendix and of vllm#48136, (sum p^k)^(1/(k-1)),"
    " not sum p^k; nearer to 1 than 1.01 float32 sums don't tell orders apart",
)
