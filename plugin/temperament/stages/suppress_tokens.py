"""Suppress tokens: they are never drawn."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import TOKENS

STAGE = Stage(
    name="suppress_tokens",
    group="bias",
    parameters=(
        Parameter(
            "suppress_tokens",
            TOKENS,
            "Token ids that are never drawn.",
            neutral=(),
        ),
    ),
    summary="bans tokens",
    summary_zh="禁止指定的 token",
    source="Transformers, generation/logits_process.py",
)
