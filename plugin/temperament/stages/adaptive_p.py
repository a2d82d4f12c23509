"""Adaptive-p: draws tokens near a target probability."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="adaptive_p",
    group="last",
    parameters=(
        Parameter(
            "adaptive_target",
            NUMBER,
            "The probability that drawn tokens should have.",
            neutral=-1.0,
            low=0.0,
            high=1.0,
            off=(-1,),
            slider=(0, 1, 0.01),
        ),
        Parameter(
            "adaptive_decay",
            NUMBER,
            "How slowly the average of drawn probabilities forgets.",
            default=0.9,
            low=0.0,
            high=0.99,
        ),
    ),
    summary="prefers tokens near a target probability, corrected by those drawn before",
    summary_zh="偏好概率接近目标值的 token，并根据已抽取者修正",
    source="llama.cpp #17927",
    elsewhere="off is -1 in llama.cpp, 0 in text-generation-webui, 1 in ExLlamaV3",
    needs=frozenset({"history", "state"}),
)
