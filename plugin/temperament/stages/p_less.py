"""P-less: keep what is at least as likely as two draws are to be equal."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG

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
    ),
    summary="removes tokens less likely than the sum of the squared probabilities",
    summary_zh="去除概率低于各概率平方和的 token（无参数）",
    source="Tan, Wu, Howard 2025, arXiv:2509.23234",
)
