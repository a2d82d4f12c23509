"""Min-k: cut the sorted logits where they fall most steeply."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG, NUMBER

STAGE = Stage(
    name="min_k",
    group="cut",
    parameters=(
        Parameter(
            "min_k",
            FLAG,
            "Whether the sorted logits are cut where a fall, divided by its rank, is largest.",
            neutral=False,
        ),
        Parameter(
            "min_k_tau",
            NUMBER,
            "At least tau / R tokens stay (rounded down), R the range of the logits.",
            default=3.0,
            low=0.0,
            slider=(0, 20, 0.5),
        ),
    ),
    summary="cuts the sorted logits at their steepest fall, each fall divided by its rank",
    summary_zh="将 logit 从高到低排序，在落差除以名次最大处截断",
    source="Ding et al. 2026, arXiv:2604.11012",
    elsewhere="the paper has tau / R before the temperature: an `order` with min_k in front of it"
    " does that, the steepest fall is the same anywhere; removed tokens have no part in R here,"
    " where a plain sort of the row makes R infinite",
)
