"""A program's dialect as data: its fields, units, off values, order and defaults.

`read` turns the program's fields into a preset's, and `write` a preset into the program's. What
tables can't express (an order list, a temperature with a range) is in the dialect's hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from temperament.interchange.format import (
    OF_TRANSFORMERS,
    UNSUPPORTED,
    CantSayError,
    Reading,
    Writing,
    listed,
)
from temperament.plan.targets import COMMUTING
from temperament.presets import Preset
from temperament.presets.chain import Chain
from temperament.presets.generation_fields import GENERATION, SYNONYMS
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF


def _same(value: Any) -> Any:
    return value


# In `Dialect.not_sampling`: a field that `order` reads.
READ_BY_ORDER = "the order"


@dataclass(frozen=True)
class Field:
    """One field of a program: the preset's field for it, and the conversions both ways.

    `remark` says how its meaning differs there; it goes with every value that isn't neutral.
    """

    preset_field: str
    to_preset: Callable[[Any], Any] = _same
    to_program: Callable[[Any], Any] = _same
    remark: str = ""


Order = Callable[[Mapping[str, Any]], Sequence[str]]


@dataclass(frozen=True)
class Dialect:
    """How one program expresses what presets express.

    - `fields` are the program's fields by name, `aliases` other names of these.
    - `order` are the stages from temperature on, in the program's order: a tuple, or a function
      that reads it from the fields. `put_order` writes an order into the fields.
    - `defaults` are the program's values where a field is missing, by their names in a preset.
    - `fixed` are parameters without a field in the program, with the values that it uses.
    - `unsupported` are fields for which a preset has no parameter, with the value that changes
      nothing (where that is empty, any empty value does), or a function that says which do;
      `reasons` are notes on those for which the usual note isn't enough.
    - `not_sampling` are fields that have nothing to do with sampling, each with the reason, or
      `READ_BY_ORDER`.
    - `before_read` and `after_read`, `before_write` and `after_write` do the rest: the first three
      may change the fields or values that they get.
    """

    title: str
    fields: Mapping[str, Field]
    aliases: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] | Order = ()
    put_order: Callable[[Writing, tuple[str, ...]], None] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    unsupported: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    not_sampling: Mapping[str, str] = field(default_factory=dict)
    before_read: Callable[[dict[str, Any], Reading], None] = lambda fields, reading: None
    after_read: Callable[[Mapping[str, Any], Reading], None] = lambda fields, reading: None
    before_write: Callable[[dict[str, Any], Preset, Writing], None] = lambda values, p, w: None
    after_write: Callable[[Preset, Writing], None] = lambda preset, writing: None

    def name_of(self, name: str) -> str | None:
        """Returns the program's name of a preset's field: the first field for it."""
        return next(
            (each for each, field in self.fields.items() if field.preset_field == name), None
        )

    def sequence(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The stages in the order in which the program runs them with these fields."""
        return self.order if isinstance(self.order, tuple) else tuple(self.order(fields))


def read(dialect: Dialect, fields: Mapping[str, Any], *, defaults: bool = True) -> Reading:
    """The preset that a program's fields describe.

    Without `defaults`, what the fields don't set is unknown, and the preset doesn't set it either.
    """
    reading = Reading()
    present = {str(name): value for name, value in fields.items() if value is not None}
    for name in [name for name in present if name in dialect.aliases]:
        value, usual = present.pop(name), dialect.aliases[name]
        if present.setdefault(usual, value) != value:
            reading.note("lost", name, value, f"{usual} is set too")
    take_unsupported(present, dialect.unsupported, dialect.reasons, reading)
    dialect.before_read(present, reading)
    for name, value in present.items():
        if name in dialect.fields:
            _read_field(name, value, dialect.fields[name], reading)
        elif name not in dialect.not_sampling:
            reading.note("lost", name, value, _unknown(dialect, name))
        elif dialect.not_sampling[name] != READ_BY_ORDER:
            reading.note("left", name, value, dialect.not_sampling[name])
    theirs = dialect.sequence(present)
    for name, value in dialect.defaults.items() if defaults else ():
        if STAGE_OF[name].movable and STAGE_OF[name].name not in theirs:
            continue  # the program doesn't run it with these fields
        if name not in reading.preset and value != PARAMETERS[name].neutral:
            reading.preset[name] = value
            reading.note("default", name, value, f"not in the file: {dialect.title}'s default")
    dialect.after_read(present, reading)
    for ours, value in dialect.fixed.items():
        if value != PARAMETERS[ours].unset and is_used(STAGE_OF[ours].name, reading.preset):
            reading.preset[ours] = value
    _drop_idle(dialect, present, reading, defaults)
    _read_order(dialect, present, reading)
    return reading


def take_unsupported(
    fields: dict[str, Any],
    unsupported: Mapping[str, Any],
    reasons: Mapping[str, str],
    reading: Reading,
) -> None:
    """Removes the fields that we have no parameter for, and notes those that change something."""
    for name in [name for name in unsupported if name in fields]:
        off, value = unsupported[name], fields.pop(name)
        if not (off(value) if callable(off) else value == off or not (value or off)):
            message = OF_TRANSFORMERS if is_generation_field(name) else UNSUPPORTED
            reading.note("lost", name, value, reasons.get(name, message))


def is_generation_field(name: str) -> bool:
    """Whether a preset has a field of this name that no stage reads."""
    return SYNONYMS.get(name, name) in GENERATION


def _unknown(dialect: Dialect, name: str) -> str:
    if is_generation_field(name):
        return OF_TRANSFORMERS
    if name in PARAMETERS:
        return f"{dialect.title} has no {STAGE_OF[name].name} of this name"
    return f"{UNSUPPORTED}, and isn't a known field of {dialect.title}"


def _read_field(name: str, value: Any, field: Field, reading: Reading) -> None:
    try:
        converted = field.to_preset(value)
    except (CantSayError, ValueError, TypeError, ArithmeticError) as error:
        reason = str(error) if isinstance(error, CantSayError) else "not understood"
        reading.note("lost", name, value, reason)
        return
    if converted is None:
        return
    if field.preset_field in reading.preset and reading.preset[field.preset_field] != converted:
        message = (
            f"another field sets {field.preset_field} to {reading.preset[field.preset_field]!r}"
        )
        reading.note("lost", name, value, message)
        return
    reading.preset[field.preset_field] = converted
    if field.remark and not _is_neutral(field.preset_field, converted):
        reading.note("differs", name, value, field.remark)


def _is_neutral(name: str, value: Any) -> bool:
    return name in PARAMETERS and value == PARAMETERS[name].neutral


def is_used(stage: str, values: Mapping[str, Any]) -> bool:
    """Whether a preset of these values has the stage in its chain."""
    parameters = BY_NAME[stage].parameters
    return not BY_NAME[stage].is_neutral({p.name: values.get(p.name, p.unset) for p in parameters})


def _drop_idle(
    dialect: Dialect, fields: Mapping[str, Any], reading: Reading, defaults: bool
) -> None:
    """Removes parameters that only modify a stage that is off.

    Without `defaults` a stage that the fields don't mention may be on there, which needs a note.
    """
    preset = reading.preset
    for name in list(preset):
        shapes = name in PARAMETERS and PARAMETERS[name].neutral is None
        if shapes and not is_used(STAGE_OF[name].name, preset):
            value, stage = preset.pop(name), STAGE_OF[name]
            is_off = any(p.name in preset and p.neutral is not None for p in stage.parameters)
            if not (defaults or is_off):
                message = f"acts only beside {stage.name}, which the file leaves open"
                theirs = dialect.name_of(name) or name
                reading.note("lost", theirs, fields.get(theirs, value), message)


def _read_order(dialect: Dialect, fields: Mapping[str, Any], reading: Reading) -> None:
    values = {name: value for name, value in reading.preset.items() if name in PARAMETERS}
    usual = movable(Chain.of(values).names)
    theirs = dialect.sequence(fields)
    for stage in usual:
        if stage not in theirs:
            for parameter in BY_NAME[stage].parameters:
                value = reading.preset.pop(parameter.name, None)
                if value is not None and parameter.neutral is not None:
                    message = f"{dialect.title} doesn't run it: it isn't in the order"
                    reading.note("lost", parameter.name, value, message)
    used = tuple(stage for stage in theirs if stage in usual)
    if not same_order(used, tuple(stage for stage in usual if stage in used)):
        reading.preset["order"] = list(used)


def write(dialect: Dialect, preset: Preset) -> Writing:
    """The program's fields for a preset."""
    writing = Writing()
    chain = preset.chain
    values = {
        name: value
        for name, value in {**preset.values, **chain.values}.items()
        if STAGE_OF[name].name in chain.names or _is_neutral(name, value)
    }
    for name in [name for name, value in values.items() if isinstance(value, Schedule)]:
        message = f"{dialect.title} has no numbers that change with the position"
        writing.note("lost", name, values.pop(name), message)
    if preset.modes:
        names = [mode.name for mode in preset.modes]
        message = f"{dialect.title} doesn't switch modes while it generates"
        writing.note("lost", "modes", names, message)
    dialect.before_write(values, preset, writing)
    for name, value in values.items():
        _write_value(dialect, name, value, STAGE_OF[name].name in chain.names, writing)
    for name, value in preset.generation.items():
        if name == "do_sample" and dialect.name_of(name) is None:
            continue  # the chain has temperature 0 for it
        _write_value(dialect, name, value, True, writing)
    for name in dialect.defaults:
        theirs = dialect.name_of(name)
        if theirs is not None and theirs not in writing.fields:
            neutral = PARAMETERS[name].neutral
            writing.fields[theirs] = listed(dialect.fields[theirs].to_program(neutral))
    _write_order(dialect, chain, writing)
    dialect.after_write(preset, writing)
    return writing


def _write_value(dialect: Dialect, name: str, value: Any, acts: bool, writing: Writing) -> None:
    theirs = dialect.name_of(name)
    if theirs is None:
        unset = PARAMETERS[name].unset if name in PARAMETERS else None
        if acts and value != dialect.fixed.get(name, unset):
            writing.note("lost", name, value, _no_field(dialect, name))
        return
    field = dialect.fields[theirs]
    try:
        writing.fields[theirs] = listed(field.to_program(value))
    except CantSayError as error:
        writing.note("lost", name, value, str(error))
        return
    if field.remark and not _is_neutral(name, value):
        writing.note("differs", name, value, field.remark)


def _no_field(dialect: Dialect, name: str) -> str:
    if name in dialect.fixed:
        return f"{dialect.title} has no field for it; its value there is {dialect.fixed[name]!r}"
    if name in GENERATION:
        return f"{dialect.title} has no field for it"
    return f"{dialect.title} has no {STAGE_OF[name].name}"


def _write_order(dialect: Dialect, chain: Chain, writing: Writing) -> None:
    lost = gone(writing.lost)
    stages = tuple(
        step.stage
        for step in chain.steps
        if BY_NAME[step.stage].movable and not any(name in lost for name, _ in step.values)
    )
    if dialect.put_order is not None:
        dialect.put_order(writing, stages)
        return
    theirs = [stage for stage in dialect.sequence(writing.fields) if stage in stages]
    if not same_order(stages, theirs):
        message = f"{dialect.title} runs {', '.join(theirs)}"
        writing.note("lost", "order", list(stages), message)


_BOTH_NEEDED = ("dynatemp_low", "dynatemp_high")


def gone(lost: Iterable[str]) -> set[str]:
    """Returns all parameters of the stages that can't run without the lost parameters."""
    return {
        parameter.name
        for name in lost
        if name in STAGE_OF and (PARAMETERS[name].neutral is not None or name in _BOTH_NEEDED)
        for parameter in STAGE_OF[name].parameters
    }


def movable(names: Sequence[str]) -> tuple[str, ...]:
    """Those of a chain's stages that `order` can place."""
    return tuple(name for name in names if BY_NAME[name].movable)


def same_order(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two orders of the same stages have the same result, whatever the numbers."""
    place = {name: position for position, name in enumerate(other)}
    return all(
        place[first] < place[second] or frozenset({first, second}) in COMMUTING
        for position, first in enumerate(one)
        for second in one[position + 1 :]
    )
