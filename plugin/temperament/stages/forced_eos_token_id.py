"""Forced last token: one of these is the text's last token at its limit."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import TOKENS

STAGE = Stage(
    name="forced_eos_token_id",
    group="bias",
    parameters=(
        Parameter(
            "forced_eos_token_id",
            TOKENS,
            "The tokens of which the last allowed one must be.",
            neutral=(),
        ),
    ),
    summary="forces the last token that max_tokens allows",
    summary_zh="在达到最大长度时强制最后一个 token",
    source="Transformers, generation/logits_process.py",
    needs=frozenset({"history", "ends"}),
    at_the_limit=True,
)
