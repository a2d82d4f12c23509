"""Stages that read a prompt's tokens, for prompts that have none: they come as embeddings."""

from __future__ import annotations

from temperament.presets.modes import AUTO
from temperament.presets.preset import Preset

READ_THE_PROMPT = frozenset(
    {
        "dry",
        "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty",
        "no_repeat_ngram_size",
        "repetition_penalty",
    }
)


def blind_to_embeddings(preset: Preset, field: str) -> str:
    """Returns what of a preset can't see a prompt that comes as embeddings, "" if nothing reads it.

    `field` is what the request or the call names these embeddings.
    """
    names = {name for chain in preset.chains.values() for name in chain.names}
    blind = sorted(names & READ_THE_PROMPT)
    if preset.modes and preset.start == AUTO:
        blind.append("start: auto")
    return f"{', '.join(blind)}: can't see a prompt in {field}" if blind else ""
