"""Tail-free sampling: cut where the sorted probabilities stop bending."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="tfs",
    group="cut",
    parameters=(
        Parameter(
            "tfs",
            NUMBER,
            "z: the share of the curve's absolute second differences that is kept.",
            neutral=1.0,
            low=0.0,
            low_open=True,
            high=1.0,
            slider=(0.01, 1, 0.01),
        ),
    ),
    summary="cuts the tail where the share of the sorted probabilities' curvature exceeds z",
    summary_zh="按排序后概率曲线二阶差分的累积占比 z 截去尾部",
    source="Phénix and Egan 2019, tail free sampling (trentbrick)",
    elsewhere="a second difference counts for the middle one of its three tokens, as in"
    " text-generation-webui and Aphrodite (which count removed tokens as a tail of zeros); the old"
    " llama.cpp, ik_llama.cpp and KoboldCpp count it for the first, which keeps one token fewer",
)
