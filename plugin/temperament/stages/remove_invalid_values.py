"""Invalid values: NaN becomes 0, +inf the largest number of float32; -inf stays a ban."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG

STAGE = Stage(
    name="remove_invalid_values",
    group="bias",
    parameters=(
        Parameter(
            "remove_invalid_values",
            FLAG,
            "Whether NaN becomes 0 and +inf the largest number of float32, before anything else.",
            neutral=False,
        ),
    ),
    summary="turns NaN into 0 and +inf into the largest float32; -inf stays",
    summary_zh="把 NaN 变为 0，把 +inf 变为 float32 的最大值；-inf 保持不变",
    source="Transformers, InfNanRemoveLogitsProcessor",
    elsewhere="Transformers turns -inf into the least number of float32 too, which gives a row of"
    " bans alone a distribution; here -inf stays -inf",
)
