"""A family of models: by what it is recognized, and what its vendor recommends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from temperament.presets.markers import Marks
from temperament.presets.model_facts import Facts
from temperament.presets.preset import Preset
from temperament.presets.temperature_scales import Scale


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
