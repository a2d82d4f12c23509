"""Banned strings: they never occur in the output, matched on the bytes of the vocabulary."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import TEXTS

STAGE = Stage(
    name="banned_strings",
    group="penalty",
    parameters=(
        Parameter(
            "banned_strings",
            TEXTS,
            "Texts that may not occur in the output.",
            neutral=(),
        ),
    ),
    summary="bans tokens that would complete one of the texts, however they are cut",
    summary_zh="禁止补全任一给定字符串的 token，无论如何切分",
    source="tabbyAPI and KoboldCpp (there by rewinding)",
    elsewhere="other programs rewind after the text has appeared; here it never appears",
    needs=frozenset({"history"}),
)
