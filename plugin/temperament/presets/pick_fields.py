"""The fields of a rule that picks a preset, as pydantic models."""

from __future__ import annotations

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

from temperament.presets.picking import (
    FLAGS,
    MAX_PATTERN,
    MAX_PATTERNS,
    TEXTS,
    PickRule,
)
from temperament.stages.kinds import text_as_list

_STRICT = ConfigDict(extra="forbid", frozen=True)
_PATTERN = {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN}
_Flag = Annotated[bool, Field(strict=True)] | None
_Patterns = (
    Annotated[
        tuple[Annotated[str, Field(strict=True, min_length=1, max_length=MAX_PATTERN)], ...],
        Field(min_length=1, max_length=MAX_PATTERNS),
        BeforeValidator(text_as_list),
        AfterValidator(lambda patterns: tuple(dict.fromkeys(patterns))),
        WithJsonSchema(
            {
                "anyOf": [
                    _PATTERN,
                    {"type": "array", "items": _PATTERN, "minItems": 1, "maxItems": MAX_PATTERNS},
                ]
            }
        ),
    ]
    | None
)


class WhenFields(BaseModel):
    """What a request must be: every condition that is set must be met."""

    model_config = _STRICT
    tools: _Flag = None
    format: _Flag = None
    thinking: _Flag = None
    open_fence: _Flag = None
    system: _Patterns = None
    last_message: _Patterns = None

    @model_validator(mode="after")
    def _any(self) -> Self:
        if all(getattr(self, name) is None for name in (*FLAGS, *TEXTS)):
            raise ValueError(f"set one of {', '.join((*FLAGS, *TEXTS))}")
        return self


class PickFields(BaseModel):
    """A rule: when a request is this, the preset of that name is picked."""

    model_config = _STRICT
    when: Annotated[
        Annotated[Literal[FLAGS], Tag("flag")]  # type: ignore[valid-type]
        | Annotated[WhenFields, Tag("conditions")],
        Discriminator(lambda value: "flag" if isinstance(value, str) else "conditions"),
    ]
    preset: Annotated[str, Field(strict=True, min_length=1, max_length=64)]

    def rule(self) -> PickRule:
        """The rule with these fields."""
        if not isinstance(self.when, WhenFields):
            return PickRule(((str(self.when), True),), self.preset)
        set_ = {name: getattr(self.when, name) for name in (*FLAGS, *TEXTS)}
        conditions = tuple((name, value) for name, value in set_.items() if value is not None)
        return PickRule(conditions, self.preset)
