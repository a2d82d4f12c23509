"""Forced first token: the only token that may follow the decoder's start token."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER

STAGE = Stage(
    name="forced_bos_token_id",
    group="bias",
    parameters=(
        Parameter(
            "forced_bos_token_id",
            INTEGER,
            "The token that must follow a history of one token.",
            neutral=-1,
            low=0,
            high=2**31 - 1,
            off=(-1,),
            choice=True,
            slider=(0, 1000, 1),
        ),
    ),
    summary="forces the token after a decoder's start token",
    summary_zh="强制解码起始符之后的 token",
    source="Transformers, generation/logits_process.py",
    needs=frozenset({"history"}),
)
