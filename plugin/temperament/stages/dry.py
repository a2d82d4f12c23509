"""DRY (don't repeat yourself): continuing an earlier sequence costs exponentially."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG, INTEGER, NUMBER, TEXTS

STAGE = Stage(
    name="dry",
    group="penalty",
    parameters=(
        Parameter(
            "dry_multiplier",
            NUMBER,
            "The size of the penalty.",
            neutral=0.0,
            low=0.0,
            slider=(0, 5, 0.05),
        ),
        Parameter(
            "dry_base",
            NUMBER,
            "By what it grows with each further token of the repetition.",
            default=1.75,
            low=1.0,
            slider=(1, 4, 0.05),
        ),
        Parameter(
            "dry_allowed_length",
            INTEGER,
            "The longest repetition that costs nothing but the multiplier.",
            default=2,
            low=1,
            high=2**31 - 1,
            slider=(1, 20, 1),
        ),
        Parameter(
            "dry_range",
            INTEGER,
            "How many of the last tokens are searched, 0 for all.",
            default=0,
            low=0,
            high=2**31 - 1,
            slider=(0, 4096, 16),
        ),
        Parameter(
            "dry_sequence_breakers",
            TEXTS,
            "Texts that a repetition doesn't reach across, and that cost nothing.",
            default=("\n", '"', "*", ":"),
        ),
        Parameter(
            "dry_protect_ends",
            FLAG,
            "Whether tokens that end the text cost nothing.",
            default=True,
        ),
    ),
    summary="makes tokens less likely that would go on with a repetition, the longer the more",
    summary_zh="惩罚会延续重复序列的 token，重复越长惩罚越大",
    source="text-generation-webui #5677 (p-e-w)",
    elsewhere="llama.cpp searches the last 64 tokens, KoboldCpp 320; text-generation-webui counts"
    " at most 50 tokens; Aphrodite penalises shorter matches too; all of them penalise the end of"
    " a turn that ends like an earlier one",
    needs=frozenset({"history", "matches", "ends"}),
    reads_prompt=lambda _: True,
    ends_for=lambda values: (
        "spares the end of the text: the tokenizer must be given, or dry_protect_ends: false"
        if values["dry_protect_ends"]
        else ""
    ),
)
