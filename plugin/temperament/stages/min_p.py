"""Min-p: keep what is at least m times as likely as the most likely token."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="min_p",
    group="cut",
    parameters=(
        Parameter(
            "min_p",
            NUMBER,
            "The least probability, as a share of the most likely token's.",
            neutral=0.0,
            low=0.0,
            high=1.0,
        ),
    ),
    summary="keeps tokens with at least m times the largest probability",
    summary_zh="去除概率低于最高概率 m 倍的 token",
    source="Nguyen et al. 2024, arXiv:2407.01082; reference document 001",
    elsewhere="vLLM applies it before top_k and top_p, Transformers and Temperament after",
)
