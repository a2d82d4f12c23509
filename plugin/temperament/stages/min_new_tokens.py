"""Min new tokens: the text has at least this many tokens before it ends."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER

STAGE = Stage(
    name="min_new_tokens",
    group="bias",
    parameters=(
        Parameter(
            "min_new_tokens",
            INTEGER,
            "Before this many tokens the text doesn't end.",
            neutral=0,
            low=0,
            high=2**31 - 1,
            slider=(0, 256, 1),
        ),
    ),
    summary="bans the tokens that end the text before n tokens",
    summary_zh="在生成 n 个 token 之前禁止结束",
    source="Transformers, generation/logits_process.py",
    elsewhere="vLLM's min_tokens",
    needs=frozenset({"history", "ends"}),
    ends_for=lambda _: "acts on the end of the text: the tokenizer must be given",
)
