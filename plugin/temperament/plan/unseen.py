"""Which stages of a preset read tokens, or a limit, that aren't known.

A prompt that comes as embeddings has no token ids, and a decoding loop may not pass on its prompts
or its output. Such a stage then works on what is known, and a warning names it.
"""

from __future__ import annotations

from collections.abc import Iterable

from temperament.presets.modes import AUTO
from temperament.presets.preset import Preset
from temperament.stages import BY_NAME

EMBEDDINGS = "prompt_embeds"  # vLLM's field for a prompt that comes as embeddings


def blind_to_embeddings(preset: Preset, field: str = EMBEDDINGS) -> str:
    """Returns a warning with what reads the prompt, "" if nothing does.

    The prompt comes as embeddings, in the field `field` of the request or the call.
    """
    blind = _readers(preset)
    return f"{', '.join(blind)}: can't see a prompt in {field}" if blind else ""


def blind_without_ids(presets: Iterable[Preset], *, output: bool = False) -> str:
    """Returns a warning with the stages that read token ids which a call leaves out, "" if none do.

    The call leaves out the ids of the prompts or, with `output`, those of the output so far.
    """
    read = _readers_of_output if output else _readers
    blind = ", ".join(sorted({name for preset in presets for name in read(preset)}))
    if not blind:
        return ""
    if output:
        return f"{blind}: can't see the text so far: no output_ids ([] for a row without any)"
    return f"{blind}: can't see the prompts: no prompt_ids ([] for a row without a prompt)"


def blind_to_the_limit(presets: Iterable[Preset]) -> str:
    """Returns a warning with the stages that act at `max_tokens` alone, "" if all know it."""
    unlimited = (preset for preset in presets if "max_tokens" not in preset.generation)
    names = {name for p in unlimited for chain in p.chains.values() for name in chain.names}
    blind = ", ".join(sorted(name for name in names if BY_NAME[name].at_the_limit))
    return f"{blind}: never acts: the preset sets no max_tokens" if blind else ""


def _readers(preset: Preset) -> list[str]:
    """Returns the names of what reads the prompt: stages, and `start: auto`."""
    names = {
        step.stage
        for chain in preset.chains.values()
        for step in chain.steps
        if BY_NAME[step.stage].reads_prompt(dict(step.values))
    }
    auto = ["start: auto"] if preset.modes and preset.start == AUTO else []
    return [*sorted(names), *auto]


def _readers_of_output(preset: Preset) -> list[str]:
    """Returns the names of what reads the output so far: stages, and `modes`."""
    names = {name for chain in preset.chains.values() for name in chain.names}
    stages = [name for name in names if "history" in BY_NAME[name].needs]
    return [*stages, *(["modes"] if preset.modes else [])]
