"""No-repeat n-gram: no n-gram occurs twice, in prompt and output together."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER

STAGE = Stage(
    name="no_repeat_ngram_size",
    group="penalty",
    parameters=(
        Parameter(
            "no_repeat_ngram_size",
            INTEGER,
            "The size of the n-grams that may occur once only.",
            neutral=0,
            low=0,
            high=2**31 - 1,
            slider=(0, 20, 1),
        ),
    ),
    summary="bans tokens that would repeat an n-gram of the text",
    summary_zh="禁止重复出现过的 n-gram",
    source="Transformers, generation/logits_process.py; fairseq",
    needs=frozenset({"history", "matches"}),
    reads_prompt=lambda _: True,
)
