"""Typical-p: keep the tokens whose surprise is nearest to the entropy, up to a mass."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="typical_p",
    group="cut",
    parameters=(
        Parameter(
            "typical_p",
            NUMBER,
            "The mass that the most typical tokens must reach; the one that crosses it stays.",
            neutral=1.0,
            low=0.0,
            low_open=True,
            high=1.0,
            slider=(0.01, 1, 0.01),
        ),
    ),
    summary="keeps the tokens whose surprise is nearest to the entropy, up to a mass of t;"
    " the most likely token may go",
    summary_zh="保留信息量最接近熵的 token，直到累积概率达到 t；概率最高的 token 也可能被去除",
    source="Meister et al. 2022, arXiv:2202.00666",
    elsewhere="as in Transformers, ties with the last stay; llama.cpp keeps one more token where"
    " a sum equals t; ExLlamaV2 takes x + ln x for the surprise",
)
