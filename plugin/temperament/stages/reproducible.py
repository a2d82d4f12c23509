"""Reproducible: the token is drawn here, and the engine is left one choice."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG

STAGE = Stage(
    name="reproducible",
    group="last",
    parameters=(
        Parameter(
            "reproducible",
            FLAG,
            "Whether the token is drawn here, so that its seed alone decides.",
            neutral=False,
        ),
    ),
    summary="draws the token itself, by noise of (seed, position, token)",
    summary_zh="由 (种子, 位置, token) 的噪声直接抽取 token，处处可复现",
    source="Gumbel 1954; Maddison et al. 2014, arXiv:1411.0030",
    needs=frozenset({"noise"}),
    draws=True,
)
