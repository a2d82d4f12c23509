"""Entropy equilibrium: keep the most likely tokens until they hold more mass than entropy."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG

STAGE = Stage(
    name="ees",
    group="cut",
    parameters=(
        Parameter(
            "ees",
            FLAG,
            "Whether tokens are removed from the first rank k on at which the k most likely have"
            " more of the probability than of the entropy that k equally likely ones would have.",
            neutral=False,
        ),
    ),
    summary="keeps the most likely tokens until their probability exceeds their normalised entropy",
    summary_zh="从最可能的 token 起保留，直到其概率之和超过其归一化熵（无参数）",
    source="Cai et al. 2025, arXiv:2512.00789",
    elsewhere="a tie with the last kept token stays here; in the authors' program it goes by"
    " position",
)
