"""Encoder no-repeat n-gram: the output repeats no n-gram of the source text."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER

STAGE = Stage(
    name="encoder_no_repeat_ngram_size",
    group="penalty",
    parameters=(
        Parameter(
            "encoder_no_repeat_ngram_size",
            INTEGER,
            "The size of the prompt's n-grams that the output may not repeat.",
            neutral=0,
            low=0,
            high=2**31 - 1,
            slider=(0, 20, 1),
        ),
    ),
    summary="bans tokens that would repeat an n-gram of the prompt",
    summary_zh="禁止输出重复提示词中的 n-gram",
    source="Transformers, generation/logits_process.py",
    elsewhere="Transformers reads the encoder's text; for a decoder alone, and here, that is the"
    " prompt, and an n-gram may begin in it",
    needs=frozenset({"history", "matches"}),
    reads_prompt=lambda _: True,
)
