"""Skew: bends the cumulated distribution, the most likely token first."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="skew",
    group="shape",
    parameters=(
        Parameter(
            "skew",
            NUMBER,
            "The cumulated probability F becomes F^(e^skew): above 0 the less likely tokens gain,"
            " below 0 the most likely. Bounded so that e^skew stays far from float32's limits.",
            neutral=0.0,
            low=-20.0,
            high=20.0,
            slider=(-3, 3, 0.05),
        ),
    ),
    summary="turns the cumulated sorted probability F into F^(e^skew)",
    summary_zh="把按概率从高到低累积的分布 F 变为 F^(e^skew)",
    source="turboderp, ExLlamaV2 1de4cdd",
    elsewhere="as in ExLlamaV2, over the tokens sorted by probability; Aphrodite cumulates in the"
    " order of the vocabulary, which is another distribution",
    reads_ids=True,
)
