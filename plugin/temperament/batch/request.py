"""A request: the chains that a row runs, built from a preset."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from temperament.errors import PresetError, Problem
from temperament.plan.automata.mode_automaton import Switching
from temperament.presets.chain import Chain
from temperament.presets.generation_fields import NO_SEED
from temperament.presets.preset import Preset
from temperament.stages import BY_NAME
from temperament.stages.base import Stage


@dataclass(frozen=True, slots=True)
class Request:
    """The chains of one request, and the facts about it that its stages read."""

    # of the first mode, or of the preset if it has no modes
    chain: Chain = field(default_factory=Chain)
    # requests with the same seed draw the same random numbers at the same positions
    seed: int = 0
    # the number of tokens that may be generated, -1 if unknown
    limit: int = -1
    # the token ids that end the text
    ends: tuple[int, ...] = ()
    # of the other modes
    others: tuple[Chain, ...] = ()
    # the rules between the modes, None without modes
    switching: Switching | None = None
    # the preset's `name@digest`, for logs
    label: str = ""

    @property
    def chains(self) -> tuple[Chain, ...]:
        """Returns the chain of every mode."""
        return (self.chain, *self.others)

    def in_mode(self, number: int) -> Request:
        """Returns the request as if the mode with this number were its only one."""
        return replace(self, chain=self.chains[number], others=(), switching=None)


def request_of(preset: Preset, ends: Sequence[int] = ()) -> Request:
    """Returns what a row runs for a preset; `ends` are the ids that end the text.

    The seed is left at 0 (`seed_of`).
    """
    chain, *others = preset.chains.values()
    limit = preset.generation.get("max_tokens", -1)
    return Request(chain, 0, limit, tuple(ends), tuple(others), Switching.of(preset))


def seed_of(preset: Preset) -> int:
    """Returns the preset's seed, or a new random one if the preset sets none."""
    return seed_or_new(preset.generation.get("seed", NO_SEED))


def seed_or_new(seed: int) -> int:
    """Returns `seed`, or a new random one for -1, which is no seed."""
    return secrets.randbits(63) if seed == NO_SEED else int(seed)


def sample_seed(seed: int, sample: int) -> int:
    """Returns the seed of a sample of a prompt, by number; sample 0 has the prompt's seed."""
    if not sample:
        return seed
    digest = hashlib.blake2b(f"{seed} {sample}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def check_tokenizer(
    presets: Sequence[Preset], tokenizer: Any, ends: int | Sequence[int] | None = None
) -> None:
    """Raises `PresetError` if a preset needs the tokenizer and `tokenizer` is None.

    `ends` are the ids that end the text, where they are known without a tokenizer.
    """
    if tokenizer is not None:
        return

    def why(stage: Stage, values: Mapping[str, Any]) -> str:
        return stage.why_tokenizer(values) or ("" if ends is not None else stage.ends_for(values))

    problems = [
        Problem(preset.name, step.stage, reason, allowed="tokenizer=...")
        for preset in presets
        for chain in preset.chains.values()
        for step in chain.steps
        if (reason := why(BY_NAME[step.stage], dict(step.values)))
    ]
    for preset in presets:
        switching = Switching.of(preset)
        if switching is not None and switching.why_tokenizer:
            reason = switching.why_tokenizer
            problems.append(Problem(preset.name, "switch", reason, allowed="tokenizer=..."))
    if problems:
        raise PresetError(dict.fromkeys(problems))
