"""Top-k: keep the k largest."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER

STAGE = Stage(
    name="top_k",
    group="cut",
    parameters=(
        Parameter(
            "top_k",
            INTEGER,
            "How many of the most likely tokens stay.",
            neutral=0,
            low=0,
            high=2**31 - 1,
            off=(-1,),
            slider=(0, 200, 1),
        ),
    ),
    summary="keeps the k most likely tokens, and those tied with the last of them",
    summary_zh="只保留概率最高的 k 个 token（与第 k 个并列的也保留）",
    source="Fan et al. 2018, arXiv:1805.04833; reference documents 001, 003, 004",
    largest_kept="top_k",
    elsewhere="llama.cpp, ExLlama and vLLM's kernel for GPUs keep exactly k by sort position;"
    " Transformers' default is 50",
)
