"""Top-n-sigma: keep what is within n standard deviations of the largest logit."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="top_n_sigma",
    group="cut",
    parameters=(
        Parameter(
            "top_n_sigma",
            NUMBER,
            "How many standard deviations of the logits below the largest a token may lie.",
            neutral=0.0,
            low=0.0,
            slider=(0, 5, 0.05),
        ),
    ),
    summary="keeps logits within n standard deviations of the largest",
    summary_zh="只保留与最大 logit 相差不超过 n 个标准差的 token",
    source="Tang et al. 2024, arXiv:2411.07641",
    elsewhere="as in llama.cpp, the deviation is the population's, over the tokens still allowed;"
    " text-generation-webui counts removed tokens as 0, Aphrodite cuts nothing behind a mask;"
    " -1 is off in llama.cpp",
)
