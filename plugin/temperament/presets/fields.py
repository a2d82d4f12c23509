"""The fields that a preset may have, what each allows, and the pydantic model that checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
)

from temperament.presets import temperature_scales
from temperament.presets.generation_fields import GENERATION, SYNONYMS
from temperament.presets.modes import AUTO, BACK, MAX_MODES, MAX_RULES
from temperament.presets.pick_fields import PickFields
from temperament.presets.picking import FLAGS, MAX_PICKS, TEXTS
from temperament.presets.rule_fields import RuleFields, ScheduleFields
from temperament.presets.schedule import Schedule
from temperament.stages import PARAMETERS, STAGES, Parameter
from temperament.stages.kinds import fits_float32

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
NAME_ALLOWED = "1 to 64 of a-z, 0-9, '.', '_', '-', the first a letter or digit"
# Requests, headers and tables show aliases, so control characters are not allowed in them.
ALIAS = r"^[^\s:/@,\x00-\x1f\x7f]([^:/@,\x00-\x1f\x7f]{0,62}[^\s:/@,\x00-\x1f\x7f])?$"
MAX_SECTIONS = 64  # patterns in `models`

MOVABLE = tuple(stage.name for stage in STAGES if stage.movable)

# The fields that set sampling. A request may have them too.
SETTINGS: frozenset[str] = frozenset(
    {*PARAMETERS, *GENERATION, *SYNONYMS, "temperature_scale", "order", "modes", "start", "switch"}
)
# The fields of a mode.
IN_MODES = frozenset({*PARAMETERS, "temperature_scale", "order", "extends", "fallback"})
# The fields that a section of `models` can't have: they don't depend on the model.
NOT_IN_SECTIONS = (
    "alone",
    "pick",
    "extends",
    "aliases",
    "summary",
    "models",
    "modes",
    "start",
    "switch",
)

# Two parameters that Transformers writes as one pair, under the second name.
PAIR = ("exponential_decay_start", "exponential_decay_length_penalty")

# field -> what it allows, as messages show it
ALLOWED: dict[str, str] = {
    **{name: parameter.allowed for name, parameter in PARAMETERS.items()},
    **{name: allowed for name, (_, allowed) in GENERATION.items()},
    "order": f"a list of one or more stages, each once, of {', '.join(MOVABLE)}",
    "extends": "the name of another preset",
    "aliases": "a list of texts of 1 to 64 characters without ':', '/', '@' or ','",
    "summary": "a map of en and zh to a sentence each",
    "source": "a text: where the values come from",
    "pick": f"a list of at most {MAX_PICKS} rules of 'when' (one of {', '.join(FLAGS)}, or a map of"
    f" these to true or false and of {', '.join(TEXTS)} to patterns) and 'preset' (a name)",
    "alone": "true or false: whether the layers below are left out",
    "from_model": "a kind of a model's recommended values: recommended, thinking, instruct, ...",
    "fallback": "a map of parameters, in a mode that extends a preset of the model's values",
    "temperature_scale": "weights (a number as it stands), deepseek-api, kimi-anthropic",
    "models": "a map of patterns of models' names to further fields of a preset",
    "modes": f"a map of 1 to {MAX_MODES} names to parameters, 'temperature_scale', 'order' and"
    " 'extends'",
    "start": f"a mode, or {AUTO!r}",
    "switch": f"a list of at most {MAX_RULES} rules of 'from' (modes), 'on' (a trigger) and 'to'"
    f" (a mode or {BACK!r})",
}
FACTOR_ALLOWED = "{scale: a number above 0}, of the value that the model's vendor recommends"


class Summary(BaseModel):
    """One sentence in each language of the project."""

    model_config = ConfigDict(extra="forbid", strict=True)
    en: str = Field(default="", max_length=300)
    zh: str = Field(default="", max_length=300)


@cache
def model() -> type[BaseModel]:
    """The pydantic model of a preset's fields. A field that the preset doesn't set is None."""
    # mypy can't follow a Literal of a tuple that is built at run time; pydantic can.
    stage_name = Literal[MOVABLE]  # type: ignore[valid-type]
    scale = (Literal[temperature_scales.names()] | None, None)
    name = Annotated[str, Field(strict=True, pattern=NAME.pattern)]
    mode_name = Annotated[str, Field(strict=True, pattern=f"^{NAME.pattern}$")]
    extends = (Annotated[str, Field(strict=True)] | None, None)
    order = (
        Annotated[
            tuple[stage_name, ...],
            Field(min_length=1, json_schema_extra={"uniqueItems": True}),
            BeforeValidator(_require_list),
            AfterValidator(_require_each_once),
        ]
        | None,
        None,
    )
    parameters: dict[str, Any] = {
        name: (
            _annotation(parameter) | None,
            Field(default=None, description=f"{parameter.summary} Allowed: {parameter.allowed}."),
        )
        for name, parameter in PARAMETERS.items()
    }
    fallback = (
        create_model(
            "Fallback",
            __doc__="The values of a mode where the model's own aren't known.",
            __config__=ConfigDict(extra="forbid", frozen=True),
            **parameters,
        )
        | None,
        None,
    )
    mode = create_model(
        "Mode",
        __doc__="A mode: the values that it sets replace the preset's.",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **{
            "extends": extends,
            "temperature_scale": scale,
            "order": order,
            "fallback": fallback,
            **parameters,
        },
    )
    fields: dict[str, Any] = {
        "extends": extends,
        "aliases": (tuple[Annotated[str, Field(strict=True, pattern=ALIAS)], ...], ()),
        "summary": (Summary | None, None),
        "source": (Annotated[str, Field(strict=True, max_length=1000)], ""),
        "pick": (
            Annotated[tuple[PickFields, ...], Field(max_length=MAX_PICKS)] | None,
            None,
        ),
        "alone": (Annotated[bool, Field(strict=True)] | None, None),
        "from_model": (name | None, None),
        "temperature_scale": scale,
        "models": (dict[str, Any] | None, None),
        "order": order,
        "modes": (
            Annotated[dict[mode_name, mode], Field(min_length=1, max_length=MAX_MODES)] | None,
            None,
        ),
        "start": (mode_name | None, None),
        "switch": (
            Annotated[tuple[RuleFields, ...], Field(max_length=MAX_RULES)] | None,
            None,
        ),
        **parameters,
        **{
            name: (annotation | None, Field(default=None, description=allowed))
            for name, (annotation, allowed) in GENERATION.items()
        },
    }
    return create_model(
        "Preset",
        __doc__="A sampling preset. It replaces only the values that it names.",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **fields,
    )


def _annotation(parameter: Parameter) -> Any:
    """A checked value or, where the parameter may change with the position, a schedule."""
    value = parameter.kind.annotation(parameter)
    return _or_schedule(parameter, value) if parameter.schedulable else value


def _or_schedule(parameter: Parameter, number: Any) -> Any:
    def checked(fields: ScheduleFields) -> Schedule:
        schedule = Schedule(fields.start, fields.end, fields.over, fields.curve)
        for side, value in (("from", schedule.start), ("to", schedule.end)):
            too_low = value <= parameter.low if parameter.low_open else value < parameter.low
            too_high = value >= parameter.high if parameter.high_open else value > parameter.high
            off = parameter.integer and value == parameter.neutral
            fraction = parameter.integer and value != int(value)
            if too_low or too_high or off or fraction:
                raise ValueError(f"'{side}' is {'off' if off else 'outside the range'}: {value:g}")
            fits_float32(value)
        return schedule

    def tag(value: Any) -> str:
        is_schedule = isinstance(value, Mapping) and {"from", "to"} & value.keys()
        return "schedule" if is_schedule else "number"

    schedule = Annotated[ScheduleFields, AfterValidator(checked)]
    return Annotated[
        Annotated[number, Tag("number")] | Annotated[schedule, Tag("schedule")],
        Discriminator(tag),
    ]


def _require_list(order: Any) -> Any:
    if not isinstance(order, (list, tuple)):
        raise ValueError("not a list")
    return order


def _require_each_once(order: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(order)) < len(order):
        raise ValueError("a stage occurs twice")
    return order
