"""Exponential decay length penalty: the longer the text, the likelier its end."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER, NUMBER

STAGE = Stage(
    name="exponential_decay_length_penalty",
    group="bias",
    parameters=(
        Parameter(
            "exponential_decay_length_penalty",
            NUMBER,
            "By what the end's weight grows with each token.",
            neutral=1.0,
            low=0.0,
            low_open=True,
            slider=(0.9, 1.5, 0.005),
        ),
        Parameter(
            "exponential_decay_start",
            INTEGER,
            "After how many tokens it begins.",
            default=0,
            low=0,
            high=2**31 - 1,
            slider=(0, 1024, 8),
        ),
    ),
    summary="makes the end of the text more likely, the longer it is",
    summary_zh="文本越长，结束 token 的概率越高",
    source="Transformers, generation/logits_process.py",
    elsewhere="Transformers takes both numbers as a pair (start, factor)",
    needs=frozenset({"history", "ends"}),
    ends_for=lambda _: "acts on the end of the text: the tokenizer must be given",
    reads_sign=True,
)
