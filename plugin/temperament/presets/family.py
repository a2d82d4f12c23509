"""A family of models: by what it is recognized, and what its vendor recommends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from temperament.presets.markers import Marks
from temperament.presets.model_facts import Facts
from temperament.presets.preset import Preset
from temperament.presets.temperature_scales import Scale
from temperament.presets.thinking import ThinkingSwitch


@dataclass(frozen=True)
class Family:
    """Models with the same recommendations.

    `values`, `verified` and `read` have an entry for each kind of use: thinking, instruct, ...
    `read` are the dates on which the sources were read. `recommended` is the vendor's default kind.
    """

    name: str
    title: str
    names: tuple[str, ...]
    config: tuple[Mapping[str, Any], ...]
    recommended: str
    values: Mapping[str, Preset]
    verified: Mapping[str, bool]
    read: Mapping[str, str]
    scales: Mapping[str, Scale]
    # how its models mark parts of their answers, for each part
    marks: Mapping[str, Marks] = field(default_factory=dict)
    # how a request switches thinking, None if nothing is known of that
    thinking: ThinkingSwitch | None = None

    def when(self, thinks: bool | None) -> Family:
        """Returns the family whose default kind is that of a request with or without thinking.

        None is a request that doesn't say. If the vendor has no values of that kind, the default
        kind stays.
        """
        if thinks is None and self.thinking is not None:
            thinks = self.thinking.default
        kind = {True: "thinking", False: "instruct", None: self.recommended}[thinks]
        return replace(self, recommended=kind) if kind in self.values else self

    def recommendation(self, name: str) -> Preset | None:
        """Returns the values of a kind, None without it; "recommended" means the default kind."""
        return self.values.get(self.recommended if name == "recommended" else name)

    def matches(self, facts: Facts) -> int:
        """Returns how specifically a model matches: 0 if it doesn't, 1 if only `config` does.

        Names count more: 1 plus the length of the longest pattern that matches.
        """
        by_name = [len(p) for p in self.names if any(fnmatchcase(n, p) for n in facts.names)]
        if by_name:
            return 1 + max(by_name)
        return int(any(all(facts.config.get(k) == v for k, v in c.items()) for c in self.config))
