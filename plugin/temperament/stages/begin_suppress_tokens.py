"""Begin-suppress tokens: the output doesn't begin with them."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import TOKENS

STAGE = Stage(
    name="begin_suppress_tokens",
    group="bias",
    parameters=(
        Parameter(
            "begin_suppress_tokens",
            TOKENS,
            "Token ids that are not drawn first.",
            neutral=(),
        ),
    ),
    summary="bans tokens as the first of the output",
    summary_zh="禁止指定的 token 作为输出的第一个 token",
    source="Transformers, generation/logits_process.py",
    needs=frozenset({"history"}),
)
