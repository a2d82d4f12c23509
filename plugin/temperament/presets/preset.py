"""A preset: named values, how they are laid over other values, and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from temperament.presets.chain import Chain


@dataclass(frozen=True, slots=True)
class Preset:
    """What one preset names, checked. It overrides only what it names.

    `values` are the stage parameters that were named (neutral ones too: naming `top_p: 1` undoes
    the top_p of whatever lies below), `generation` the fields that say when to stop and from which
    seed, `order` the stages' order, empty for the default.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    generation: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    aliases: tuple[str, ...] = ()
    origin: str = ""

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    @property
    def chain(self) -> Chain:
        """The stages that these values set, in order."""
        return Chain.of(self.values, self.order)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the content: equal on two machines if the sampling is."""
        content = json.dumps(
            [dict(self.values), self.order, dict(self.generation)], sort_keys=True
        ).encode()
        return hashlib.sha256(content).hexdigest()[:12]

    @property
    def label(self) -> str:
        """`name@digest`, as the response header shows it."""
        return f"{self.name}@{self.digest}"

    def over(self, base: Preset) -> Preset:
        """This preset's words, and those of `base` where it has none."""
        return replace(
            self,
            values={**base.values, **self.values},
            order=self.order or base.order,
            generation={**base.generation, **self.generation},
        )
