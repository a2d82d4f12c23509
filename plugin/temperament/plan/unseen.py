"""Stages that read a prompt's tokens, for prompts that have none: they come as embeddings.

Also for a decoding loop that doesn't say what its prompts are.
"""

from __future__ import annotations

from collections.abc import Iterable

from temperament.presets.modes import AUTO
from temperament.presets.preset import Preset
from temperament.stages import BY_NAME

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
    blind = _readers(preset)
    return f"{', '.join(blind)}: can't see a prompt in {field}" if blind else ""


def blind_without_ids(presets: Iterable[Preset], *, output: bool = False) -> str:
    """Returns what of the presets reads tokens that a call leaves out, "" if nothing does.

    These are the prompts' tokens, or those of the `output` up to this step.
    """
    read = _readers_of_output if output else _readers
    blind = ", ".join(sorted({name for preset in presets for name in read(preset)}))
    if not blind:
        return ""
    if output:
        return f"{blind}: can't see the text so far: no output_ids ([] for a row without any)"
    return f"{blind}: can't see the prompts: no prompt_ids ([] for a row without a prompt)"


def _readers(preset: Preset) -> list[str]:
    """What of a preset reads the prompt, as its fields."""
    names = {name for chain in preset.chains.values() for name in chain.names}
    auto = ["start: auto"] if preset.modes and preset.start == AUTO else []
    return [*sorted(names & READ_THE_PROMPT), *auto]


def _readers_of_output(preset: Preset) -> list[str]:
    """What of a preset reads the tokens that were drawn, as its fields."""
    names = {name for chain in preset.chains.values() for name in chain.names}
    stages = [name for name in names if "history" in BY_NAME[name].needs]
    return [*stages, *(["modes"] if preset.modes else [])]
