"""Modes: sets of values between which a text switches while it is written, and the rules for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from temperament.presets.plain import plain_values

BACK = "back"  # a rule's target: the mode before
AUTO = "auto"  # a start: read from the prompt
MAX_MODES = 8
MAX_RULES = 32
MAX_DEPTH = 8  # modes that `back` can return to; of more, the oldest are forgotten
MAX_TRIGGER_BYTES = 1000  # of all texts of a preset's rules: each is a state of an automaton


@dataclass(frozen=True, slots=True)
class Trigger:
    """What ends a mode: one of texts, a token, a count of tokens, entropy, a repetition.

    `texts` end anywhere in a token. `at_line_start` wants nothing but spaces and tabs before them
    in their line; `end_of` wants the text alone in its line, written since the mode began, and
    ends with the line. `name` is the
    marker's, if the texts come from one.
    """

    texts: tuple[str, ...] = ()
    at_line_start: bool = False
    end_of: bool = False
    # an id, or the text of an added token
    token: int | str | None = None
    # so many tokens in the mode
    tokens: int = 0
    # entropy in nats over or under this, for so many steps
    above: float | None = None
    below: float | None = None
    steps: int = 1
    # the last `span` tokens stand `times` times in the output
    span: int = 0
    times: int = 0
    name: str = ""

    @property
    def kind(self) -> str:
        """`text`, `token`, `tokens`, `entropy` or `repeat`."""
        if self.texts:
            return "text"
        if self.token is not None:
            return "token"
        if self.tokens:
            return "tokens"
        return "repeat" if self.span else "entropy"

    def plain(self) -> dict[str, Any]:
        """The map that a preset file has, with a marker's texts in the place of its name."""
        if self.texts and self.end_of:
            return {"end_of": list(self.texts)}
        if self.texts:
            line = {"at_line_start": True} if self.at_line_start else {}
            return {"text": list(self.texts), **line}
        if self.token is not None:
            return {"token": self.token}
        if self.tokens:
            return {"tokens": self.tokens}
        if self.span:
            return {"repeat": {"span": self.span, "times": self.times}}
        side = {"above": self.above} if self.above is not None else {"below": self.below}
        return {"entropy": {**side, "for": self.steps}}

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.texts:
            texts = " or ".join(map(repr, self.texts))
            return (
                f"{texts} alone in a line"
                if self.end_of
                else (f"{texts} at a line's start" if self.at_line_start else texts)
            )
        if self.token is not None:
            return f"token {self.token}"
        if self.tokens:
            return f"{self.tokens} tokens"
        if self.span:
            return f"a span of {self.span} tokens for the {self.times}. time"
        side = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        return f"entropy {side} for {self.steps} steps"


@dataclass(frozen=True, slots=True)
class Rule:
    """In one of `sources` (any mode but the target, if empty), `on` leads to mode `to`.

    `before`: the trigger's last token is drawn in the new mode already, as soon as one more token
    may complete it, and belongs to it.
    """

    sources: tuple[str, ...]
    on: Trigger
    to: str
    before: bool = False

    def leaves(self, mode: str) -> bool:
        """Whether the rule holds in a mode."""
        return mode in self.sources if self.sources else mode != self.to

    def plain(self) -> dict[str, Any]:
        """The map that a preset file has."""
        fields: dict[str, Any] = {"from": list(self.sources)} if self.sources else {}
        fields |= {"on": self.on.plain(), "to": self.to}
        return {**fields, "effect": "before"} if self.before else fields


@dataclass(frozen=True, slots=True)
class Mode:
    """What one mode names; it lies over what its preset names for all of them."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    # what it extends and hasn't taken over yet: another mode of the preset, or a preset
    parent: str | None = None

    def plain(self) -> dict[str, Any]:
        """The map that a preset file has."""
        return plain_values(self.values) | ({"order": list(self.order)} if self.order else {})
