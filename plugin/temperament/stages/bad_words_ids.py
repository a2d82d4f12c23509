"""Bad words: token sequences that the output never completes."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import SEQUENCES

STAGE = Stage(
    name="bad_words_ids",
    group="bias",
    parameters=(
        Parameter(
            "bad_words_ids",
            SEQUENCES,
            "Token sequences that may not be completed.",
            neutral=(),
        ),
    ),
    summary="bans tokens that would complete a sequence",
    summary_zh="禁止补全指定的 token 序列",
    source="Transformers, generation/logits_process.py",
    elsewhere="Transformers leaves out a sequence that is the end-of-text token alone",
    needs=frozenset({"history"}),
    reads_prompt=lambda values: any(len(tokens) > 1 for tokens in values["bad_words_ids"]),
)
