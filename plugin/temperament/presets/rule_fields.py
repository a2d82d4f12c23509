"""The fields of a schedule, a trigger and a rule in a preset file, as pydantic models."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from temperament.presets.markers import NAMES, Marker, markers
from temperament.presets.modes import MAX_MODES, MAX_RULES, Rule, Trigger
from temperament.presets.schedule import CURVES, Curve
from temperament.stages.kinds import text_as_list, whole

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = partial(Field, strict=True, le=2**31 - 1)
_Whole = BeforeValidator(whole)
_Text = Annotated[str, Field(strict=True, min_length=1, max_length=128)]
_Name = Annotated[str, Field(strict=True, min_length=1, max_length=64)]


def _one_or_list(item: Any, max_characters: int, max_items: int) -> Any:
    """The annotation of a text or a list of texts, whose value is a tuple of distinct texts."""
    text = {"type": "string", "minLength": 1, "maxLength": max_characters}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": max_items}
    return Annotated[
        tuple[item, ...],
        Field(min_length=1, max_length=max_items),
        BeforeValidator(text_as_list),
        AfterValidator(lambda texts: tuple(dict.fromkeys(texts))),
        WithJsonSchema({"anyOf": [text, texts]}),
    ]


# mypy can't read an annotation that a function returns.
if TYPE_CHECKING:
    _Texts = tuple[str, ...]
    _Names = tuple[str, ...]
else:
    _Texts = _one_or_list(_Text, 128, 64)
    _Names = _one_or_list(_Name, 64, MAX_MODES)


class ScheduleFields(BaseModel):
    """A number that goes from one value to another over a number of tokens."""

    model_config = _STRICT
    start: _Number = Field(alias="from")
    end: _Number = Field(alias="to")
    over: Annotated[int, _Count(ge=1), _Whole]
    curve: Curve = "linear"


class EntropyFields(BaseModel):
    """The entropy of the model's distribution, in nats, for some steps in a row."""

    model_config = _STRICT
    above: Annotated[float, Field(strict=True, ge=0, le=100)] | None = None
    below: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    steps: Annotated[int, _Count(ge=1), _Whole] = Field(default=1, alias="for")

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("set one of 'above' and 'below'")
        return self


class RepeatFields(BaseModel):
    """The last `span` tokens occur `times` times in the output, their last occurrence included."""

    model_config = _STRICT
    span: Annotated[int, _Count(ge=1), _Whole]
    times: Annotated[int, _Count(ge=2), _Whole] = 2


_KINDS = ("text", "end_of", "token", "tokens", "entropy", "repeat")


class TriggerFields(BaseModel):
    """What a rule waits for: one of text, end_of, token, tokens, entropy, repeat."""

    model_config = _STRICT
    text: _Texts | None = None
    at_line_start: Annotated[bool, Field(strict=True)] | None = None
    end_of: _Texts | None = None
    token: (
        Annotated[int, Field(strict=True, ge=0, lt=2**31), _Whole]
        | Annotated[str, Field(strict=True, min_length=1, max_length=128)]
        | None
    ) = None
    tokens: Annotated[int, _Count(ge=1), _Whole] | None = None
    entropy: EntropyFields | None = None
    repeat: RepeatFields | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"set one of {', '.join(_KINDS)}, not {len(kinds)} of them")
        if self.at_line_start is not None and self.text is None:
            raise ValueError("at_line_start goes with text")
        return self

    def trigger(self) -> Trigger:
        """The trigger with these fields."""
        if self.text is not None:
            return Trigger(texts=self.text, at_line_start=bool(self.at_line_start))
        if self.end_of is not None:
            return Trigger(texts=self.end_of, end_of=True)
        if self.entropy is not None:
            entropy = self.entropy
            return Trigger(above=entropy.above, below=entropy.below, steps=entropy.steps)
        if self.repeat is not None:
            return Trigger(span=self.repeat.span, times=self.repeat.times)
        return Trigger(token=self.token, tokens=self.tokens or 0)


_TEXTS = "a text or a list of 1 to 64 texts of 1 to 128 characters"
_COUNT = "an integer in [1, 2147483647]"
# field of a rule -> what it allows, as messages show it
ALLOWED_IN_RULES: dict[str | int, str] = {
    "from": "a mode or a list of them",
    "on": f"a marker ({', '.join(NAMES)}) or a map of one of {', '.join(_KINDS)}",
    "to": "a mode, or 'back'",
    "effect": "'before' or 'after'",
    "text": _TEXTS,
    "end_of": _TEXTS,
    "at_line_start": "true or false, with text",
    "token": "a token id, or the text of a token that was added to the vocabulary",
    "tokens": _COUNT,
    "entropy": "a map of 'above' or 'below' to nats in [0, 100], and 'for' to a count of steps",
    "above": "a number in [0, 100]",
    "below": "a number in (0, 100]",
    "for": _COUNT,
    "repeat": "a map of 'span' to a count of tokens and 'times' to 2 or more",
    "span": _COUNT,
    "times": "an integer in [2, 2147483647]",
}


# field of a schedule -> what it allows; its ends allow what the parameter allows
ALLOWED_IN_SCHEDULES: dict[str | int, str] = {
    "from": "",
    "to": "",
    "over": _COUNT,
    "curve": " or ".join(map(repr, CURVES)),
}


class RuleFields(BaseModel):
    """In some modes, on a trigger, go to another mode, before or after the trigger's last token."""

    model_config = _STRICT
    sources: _Names | None = Field(default=None, alias="from")
    on: Annotated[
        Annotated[Marker, Tag("marker")] | Annotated[TriggerFields, Tag("trigger")],
        Discriminator(lambda value: "marker" if isinstance(value, str) else "trigger"),
    ]
    to: _Name
    effect: Literal["before", "after"] = "after"

    def rule(self) -> Rule:
        """The rule with these fields."""
        if isinstance(self.on, TriggerFields):
            on = self.on.trigger()
        else:
            name = str(self.on)
            on = Trigger(texts=markers()[name], marker=name)
        return Rule(self.sources or (), on, self.to, self.effect == "before")


def valid_rules(data: Any, modes: Collection[str]) -> dict[int, Rule]:
    """The rules by number that have no problem in themselves and leave only modes of `modes`."""
    rules = {}
    for number, fields in enumerate(data[:MAX_RULES] if isinstance(data, list) else ()):
        with suppress(ValidationError):
            rule = RuleFields.model_validate(fields).rule()
            if modes and set(rule.sources) <= set(modes):
                rules[number] = rule
    return rules
