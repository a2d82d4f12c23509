"""The mode that each token of a text was drawn in, computed from the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset


class ModeReader:
    """Follows one text through a preset's modes.

    The mode is empty if the preset has no modes, or if they depend on more than the tokens: on the
    entropy, or on texts when there is no tokenizer.
    """

    def __init__(self, preset: Preset, tokenizer: Any, prompt_ids: Sequence[int]) -> None:
        self._follower: Tracer | None = None
        switching = Switching.of(preset)
        if switching is None or switching.uses_entropy or tokenizer is None:
            return
        self._names = switching.modes
        self._follower = Tracer(mode_automaton(switching, TokenBytes.of(tokenizer)))
        self._follower.read_prompt(prompt_ids)

    def read(self, token: int) -> str:
        """The mode that `token`, the next one, was drawn in."""
        if self._follower is None:
            return ""
        mode = self._names[self._follower.drawn_in]
        self._follower.read([token])
        return mode
