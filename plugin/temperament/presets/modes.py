"""Modes: sets of values between which a text switches, and the rules by which it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from temperament.presets.plain import plain_values
from temperament.presets.temperature_scales import MODEL

if TYPE_CHECKING:
    from temperament.presets.preset import Preset

BACK = "back"  # as a rule's target: the mode before this one
AUTO = "auto"  # as a start: the mode in which the prompt ends
MAX_MODES = 8
MAX_RULES = 32
MAX_DEPTH = 8  # modes that `back` can return to, the latest ones
MAX_TRIGGER_BYTES = 4000  # bytes of all texts of a preset's rules: each is an automaton's state


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a rule waits for: one of some texts, a token, a number of tokens, entropy, a repetition.

    A text may end anywhere in a token. With `at_line_start`, only spaces and tabs may stand before
    it in its line. With `end_of`, the text must stand alone in its line and have been written since
    the mode began, and the trigger occurs at the end of the line. `marker` is the marker from which
    the texts come, if they come from one. A marker's texts are those of all formats until the
    trigger is `bound` to a model; it never occurs if the model has none.
    """

    texts: tuple[str, ...] = ()
    at_line_start: bool = False
    end_of: bool = False
    # an id, or the text of an added token
    token: int | str | None = None
    # the number of tokens in the mode
    tokens: int = 0
    # the entropy in nats is above or below this number for `steps` steps in a row
    above: float | None = None
    below: float | None = None
    steps: int = 1
    # the last `span` tokens occur `times` times in the output, their last occurrence included
    span: int = 0
    times: int = 0
    marker: str = ""
    bound: bool = False

    @property
    def never(self) -> bool:
        """Whether the model can't write the marker."""
        return bool(self.marker) and not self.texts

    @property
    def kind(self) -> str:
        """`text`, `token`, `tokens`, `entropy` or `repeat`."""
        if self.texts or self.marker:
            return "text"
        if self.token is not None:
            return "token"
        if self.tokens:
            return "tokens"
        return "repeat" if self.span else "entropy"

    def plain(self) -> dict[str, Any] | str:
        """Returns the map of a preset file, with a marker's texts instead of its name.

        A marker that never occurs has no texts and stays a name.
        """
        if self.never:
            return self.marker
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
        if self.marker:
            return self.marker
        if self.texts:
            texts = " or ".join(map(repr, self.texts))
            if self.end_of:
                return f"{texts} alone in a line"
            return f"{texts} at a line's start" if self.at_line_start else texts
        if self.token is not None:
            return f"token {self.token}"
        if self.tokens:
            return f"{self.tokens} tokens"
        if self.span:
            return f"the same {self.span} tokens {self.times} times"
        side = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        return f"entropy {side} for {self.steps} steps"


@dataclass(frozen=True, slots=True)
class Rule:
    """In one of the modes `sources`, the trigger `on` leads to the mode `to`.

    Without `sources` the rule applies in every mode but its target. With `before`, the new mode
    begins before the last token of the trigger: as soon as one more token can complete the trigger,
    that token is drawn in the new mode and belongs to it.
    """

    sources: tuple[str, ...]
    on: Trigger
    to: str
    before: bool = False

    def leaves(self, mode: str) -> bool:
        """Whether the rule applies in a mode."""
        return mode in self.sources if self.sources else mode != self.to

    def plain(self) -> dict[str, Any]:
        """Returns the map of a preset file."""
        fields: dict[str, Any] = {"from": list(self.sources)} if self.sources else {}
        fields |= {"on": self.on.plain(), "to": self.to}
        return {**fields, "effect": "before"} if self.before else fields


@dataclass(frozen=True, slots=True)
class Mode:
    """The values of one mode. They replace what the preset sets for all of its modes."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    # the scale that its temperature is on, "" for the weights'
    temperature_scale: str = ""
    # the mode or preset that it extends; None once that is merged in
    parent: str | None = None
    # the mode as a preset, if what it extends depends on the model; None once that is bound
    unbound: Preset | None = None

    def plain(self) -> dict[str, Any]:
        """Returns the map of a preset file."""
        fields = plain_values(self.values)
        if self.temperature_scale not in ("", MODEL):
            fields["temperature_scale"] = self.temperature_scale
        return fields | ({"order": list(self.order)} if self.order else {})
