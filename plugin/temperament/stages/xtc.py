"""XTC (exclude top choices): now and then, all but the least likely of the top choices go."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import FLAG, NUMBER, TOKENS

STAGE = Stage(
    name="xtc",
    group="cut",
    parameters=(
        Parameter(
            "xtc_probability",
            NUMBER,
            "How often the most likely tokens are excluded.",
            neutral=0.0,
            low=0.0,
            high=1.0,
        ),
        Parameter(
            "xtc_threshold",
            NUMBER,
            "From which probability on a token counts as a top choice.",
            default=0.1,
            low=0.0,
            high=0.5,
        ),
        Parameter(
            "xtc_protected",
            TOKENS,
            "Token ids that are never removed.",
            default=(),
        ),
        Parameter(
            "xtc_protect_structure",
            FLAG,
            "Whether tokens that end the text or contain a newline are never removed.",
            default=True,
        ),
    ),
    summary="with a probability, removes all top choices but the least likely",
    summary_zh="以一定概率去除除最不可能者外的所有高概率 token",
    source="text-generation-webui #6335 (p-e-w)",
    elsewhere="llama.cpp protects no token; ExLlamaV3 gives the expected mixture without a roll;"
    " MLX tests p > t and rolls once for a batch",
    needs=frozenset({"noise", "ends", "vocabulary"}),
    tokenizer_for=lambda values: (
        "spares newlines and the end of the text: the tokenizer must be given, or"
        " xtc_protect_structure: false"
        if values["xtc_protect_structure"]
        else ""
    ),
)
