"""Allowed token ids: no other tokens are drawn."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import TOKENS

STAGE = Stage(
    name="allowed_token_ids",
    group="bias",
    parameters=(
        Parameter(
            "allowed_token_ids",
            TOKENS,
            "The only token ids that may be drawn.",
            neutral=(),
        ),
    ),
    summary="bans all other tokens",
    summary_zh="只允许指定的 token",
    source="vLLM, SamplingParams",
)
