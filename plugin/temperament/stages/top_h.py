"""Top-h: keep the most likely tokens while their part of the entropy is at most h."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="top_h",
    group="cut",
    parameters=(
        Parameter(
            "top_h",
            NUMBER,
            "The share of the entropy of the 100 most likely tokens that is kept; 0 is off.",
            neutral=0.0,
            low=0.0,
            high=1.0,
        ),
    ),
    summary="keeps the most likely of the top 100 tokens while they have at most h of the entropy",
    summary_zh="在前 100 个 token 中按概率从高到低保留，直到累积熵超过总熵的 h 倍",
    source="Potraghloo et al. 2025, arXiv:2509.02510",
    elsewhere="as in Transformers, which has it off as null and refuses 0; a tie with the last kept"
    " token stays here, there it goes by position",
)
