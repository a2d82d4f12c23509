"""Smoothing (quadratic sampling): `x' = max - k f d^2 + s f d^3`, d the distance to the maximum."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="smoothing",
    group="shape",
    parameters=(
        Parameter(
            "smoothing_factor",
            NUMBER,
            "f: how steeply the logits fall with the square of their distance to the largest.",
            neutral=0.0,
            low=0.0,
            slider=(0, 5, 0.05),
        ),
        Parameter(
            "smoothing_curve",
            NUMBER,
            "c: 1 is the square alone; above, the cube takes part: k = (3 - c)/2, s = (c - 1)/2."
            " Above 3 a token near the most likely rises above it.",
            default=1.0,
            low=1.0,
            high=10.0,
            slider=(1, 10, 0.1),
        ),
    ),
    summary="replaces the distance to the largest logit by a quadratic or cubic curve of it",
    summary_zh="用二次或三次曲线重塑各 logit 与最大 logit 的距离",
    source="kalomaze; text-generation-webui #5403 and #5551",
    elsewhere="text-generation-webui takes the maximum over the whole batch, which is right for"
    " one row alone; ExLlamaV2's smoothing_factor is a power inside the softmax, not this curve",
)
