"""How a preset file says a schedule, a trigger and a rule: pydantic models, and what they say."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from temperament.presets.markers import markers
from temperament.presets.modes import MAX_MODES, Rule, Trigger
from temperament.presets.schedule import Curve
from temperament.stages.kinds import text_as_list

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Count = partial(Field, strict=True, le=2**31 - 1)
_Text = Annotated[str, Field(strict=True, min_length=1, max_length=128)]


def _once(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


_Texts = Annotated[
    tuple[_Text, ...],
    Field(min_length=1, max_length=32),
    BeforeValidator(text_as_list),
    AfterValidator(_once),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 128},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 128},
                    "minItems": 1,
                    "maxItems": 32,
                },
            ]
        }
    ),
]


class ScheduleFields(BaseModel):
    """From one number to another over so many tokens."""

    model_config = _STRICT
    start: _Number = Field(alias="from")
    end: _Number = Field(alias="to")
    over: Annotated[int, _Count(ge=1)]
    curve: Curve = "linear"


class EntropyFields(BaseModel):
    """The entropy of the model's own distribution, in nats, for so many steps in a row."""

    model_config = _STRICT
    above: Annotated[float, Field(strict=True, ge=0, le=100)] | None = None
    below: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    steps: Annotated[int, _Count(ge=1)] = Field(default=1, alias="for")

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("says one of 'above' and 'below'")
        return self


class RepeatFields(BaseModel):
    """The last `span` tokens stand `times` times in the output, this time included."""

    model_config = _STRICT
    span: Annotated[int, _Count(ge=1)]
    times: Annotated[int, _Count(ge=2)] = 2


_KINDS = ("text", "end_of", "token", "tokens", "entropy", "repeat")


class TriggerFields(BaseModel):
    """What a rule waits for: one of text, end_of, token, tokens, entropy, repeat."""

    model_config = _STRICT
    text: _Texts | None = None
    at_line_start: Annotated[bool, Field(strict=True)] | None = None
    end_of: _Texts | None = None
    token: (
        Annotated[int, Field(strict=True, ge=0, lt=2**31)]
        | Annotated[str, Field(strict=True, min_length=1, max_length=128)]
        | None
    ) = None
    tokens: Annotated[int, _Count(ge=1)] | None = None
    entropy: EntropyFields | None = None
    repeat: RepeatFields | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        said = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(said) != 1:
            raise ValueError(f"says one of {', '.join(_KINDS)}, not {len(said)} of them")
        if self.at_line_start is not None and self.text is None:
            raise ValueError("at_line_start goes with text")
        return self

    def trigger(self) -> Trigger:
        """What it says."""
        if self.text is not None:
            return Trigger(texts=self.text, at_line_start=bool(self.at_line_start))
        if self.end_of is not None:
            return Trigger(texts=self.end_of, end_of=True)
        if self.entropy is not None:
            it = self.entropy
            return Trigger(above=it.above, below=it.below, steps=it.steps)
        if self.repeat is not None:
            return Trigger(span=self.repeat.span, times=self.repeat.times)
        return Trigger(token=self.token, tokens=self.tokens or 0)


# Literal of a tuple made at run time: mypy can't follow, pydantic can.
_MARKERS = tuple(markers())
_Name = Annotated[str, Field(strict=True, min_length=1, max_length=64)]
_Names = Annotated[
    tuple[_Name, ...],
    Field(min_length=1, max_length=MAX_MODES),
    BeforeValidator(text_as_list),
    AfterValidator(_once),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 64},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 64},
                    "minItems": 1,
                    "maxItems": MAX_MODES,
                },
            ]
        }
    ),
]


_TEXTS = "a text or a list of 1 to 32 texts of 1 to 128 characters"
_COUNT = "an integer in [1, 2147483647]"
# What may be given at each place of a rule, in words.
ALLOWED_IN_RULES: dict[str | int, str] = {
    "from": "a mode or a list of them",
    "on": f"a marker ({', '.join(markers())}) or a map of one of {', '.join(_KINDS)}",
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


class RuleFields(BaseModel):
    """In a mode, on a trigger, to another mode; when the new one takes effect."""

    model_config = _STRICT
    sources: _Names | None = Field(default=None, alias="from")
    on: Annotated[
        Annotated[Literal[_MARKERS], Tag("marker")]  # type: ignore[valid-type]
        | Annotated[TriggerFields, Tag("trigger")],
        Discriminator(lambda value: "marker" if isinstance(value, str) else "trigger"),
    ]
    to: _Name
    effect: Literal["before", "after"] = "after"

    def rule(self) -> Rule:
        """What it says."""
        if isinstance(self.on, TriggerFields):
            on = self.on.trigger()
        else:
            name = str(self.on)
            on = Trigger(texts=markers()[name], name=name)
        return Rule(self.sources or (), on, self.to, self.effect == "before")
