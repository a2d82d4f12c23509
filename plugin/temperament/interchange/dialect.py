"""A program's dialect: its names, units, off values, order and defaults, as data.

`read` and `write` go between its fields and a preset's words; what a program does in a way of its
own (an order list, a temperature and a range for two temperatures) are the dialect's hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from temperament.interchange.base import CantSayError, Reading, Writing, listed
from temperament.plan.targets import COMMUTING
from temperament.presets import Preset
from temperament.presets.chain import Chain
from temperament.presets.generation import GENERATION
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF


def _same(value: Any) -> Any:
    return value


# Among the fields that are left: one that `order` reads.
READ_BY_ORDER = "the order"


@dataclass(frozen=True)
class Field:
    """One of their fields: our parameter, and the way there and back.

    `remark` tells how it differs there, wherever it isn't off.
    """

    ours: str
    to_ours: Callable[[Any], Any] = _same
    to_theirs: Callable[[Any], Any] = _same
    remark: str = ""


Order = Callable[[Mapping[str, Any]], Sequence[str]]


@dataclass(frozen=True)
class Dialect:
    """How one program says what our presets say.

    `fields` are its names. `order` is the order in which it runs the stages from temperature on,
    fixed or read from the fields; `put_order` writes one. `defaults` are what it does where a field
    is missing, by our names. `fixed` are parameters it has no field for, with the value that they
    have there. `left` are fields that aren't sampling, with the reason, or `READ_BY_ORDER`.
    `before_read` and `after_read`, `before_write` and `after_write` are for what tables can't say.
    """

    title: str
    fields: Mapping[str, Field]
    order: tuple[str, ...] | Order = ()
    put_order: Callable[[Writing, tuple[str, ...]], None] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    before_read: Callable[[dict[str, Any], Reading], None] = lambda fields, reading: None
    after_read: Callable[[Mapping[str, Any], Reading], None] = lambda fields, reading: None
    before_write: Callable[[dict[str, Any], Preset, Writing], None] = lambda say, p, writing: None
    after_write: Callable[[Preset, Writing], None] = lambda preset, writing: None

    def name_of(self, ours: str) -> str | None:
        """Their name of a parameter: the first that stands for it."""
        return next((name for name, made in self.fields.items() if made.ours == ours), None)

    def sequence(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The stages in the order in which these fields run them."""
        return self.order if isinstance(self.order, tuple) else tuple(self.order(fields))


def read(dialect: Dialect, given: Mapping[str, Any]) -> Reading:
    """What their fields say, in our words."""
    reading = Reading()
    fields = {str(name): value for name, value in given.items() if value is not None}
    dialect.before_read(fields, reading)
    for name, value in fields.items():
        made = dialect.fields.get(name)
        if made is not None:
            _read_field(name, value, made, reading)
        elif name in dialect.left:
            if dialect.left[name] != READ_BY_ORDER:
                reading.note("left", name, value, dialect.left[name])
        else:
            reading.note("lost", name, value, f"no parameter of ours, nor known of {dialect.title}")
    for ours, value in dialect.defaults.items():
        if reading.words.get("mirostat") and STAGE_OF[ours].group == "cut":
            continue  # which it replaces
        if ours not in reading.words and value != PARAMETERS[ours].neutral:
            reading.words[ours] = value
            reading.note("default", ours, value, f"not in the file: {dialect.title}'s default")
    dialect.after_read(fields, reading)
    _drop_idle(reading.words)
    _read_order(dialect, fields, reading)
    return reading


def _read_field(name: str, value: Any, made: Field, reading: Reading) -> None:
    try:
        ours = made.to_ours(value)
    except (CantSayError, ValueError, TypeError, ArithmeticError) as error:
        reason = str(error) if isinstance(error, CantSayError) else "not understood"
        reading.note("lost", name, value, reason)
        return
    if ours is None:
        return
    if made.ours in reading.words and reading.words[made.ours] != ours:
        message = f"says something else of {made.ours} than a field before it"
        reading.note("lost", name, value, message)
        return
    reading.words[made.ours] = ours
    if made.remark and not _is_neutral(made.ours, ours):
        reading.note("differs", name, value, made.remark)


def _is_neutral(ours: str, value: Any) -> bool:
    return ours in PARAMETERS and value == PARAMETERS[ours].neutral


def _drop_idle(words: dict[str, Any]) -> None:
    """Takes out what only shapes a stage that is off."""
    for name in list(words):
        if name not in PARAMETERS or PARAMETERS[name].neutral is not None:
            continue
        stage = STAGE_OF[name]
        values = {p.name: words.get(p.name, p.unset) for p in stage.parameters}
        if stage.is_neutral(values):
            del words[name]


def _read_order(dialect: Dialect, fields: Mapping[str, Any], reading: Reading) -> None:
    values = {name: value for name, value in reading.words.items() if name in PARAMETERS}
    usual = movable(Chain.of(values).names)
    theirs = dialect.sequence(fields)
    for stage in usual:
        if stage not in theirs:
            for parameter in BY_NAME[stage].parameters:
                value = reading.words.pop(parameter.name, None)
                if value is not None and parameter.neutral is not None:
                    message = f"isn't in {dialect.title}'s order, so it doesn't act there"
                    reading.note("lost", parameter.name, value, message)
    used = tuple(stage for stage in theirs if stage in usual)
    if not same_order(used, tuple(stage for stage in usual if stage in used)):
        reading.words["order"] = list(used)


def write(dialect: Dialect, preset: Preset) -> Writing:
    """What a preset says, in their fields."""
    writing = Writing()
    chain = preset.chain
    say = {
        name: value
        for name, value in {**preset.values, **chain.values}.items()
        if STAGE_OF[name].name in chain.names or _is_neutral(name, value)
    }
    for name in [name for name, value in say.items() if isinstance(value, Schedule)]:
        message = f"{dialect.title} has no number that changes with the position"
        writing.note("lost", name, say.pop(name), message)
    if preset.modes:
        names = [mode.name for mode in preset.modes]
        message = f"{dialect.title} doesn't switch while the text is written"
        writing.note("lost", "modes", names, message)
    dialect.before_write(say, preset, writing)
    for name, value in say.items():
        _write_value(dialect, name, value, STAGE_OF[name].name in chain.names, writing)
    for name, value in preset.generation.items():
        if name == "do_sample" and dialect.name_of(name) is None:
            continue  # the chain says it: temperature 0
        _write_value(dialect, name, value, True, writing)
    for name in dialect.defaults:
        theirs = dialect.name_of(name)
        if theirs is not None and theirs not in writing.fields:
            neutral = PARAMETERS[name].neutral
            writing.fields[theirs] = listed(dialect.fields[theirs].to_theirs(neutral))
    _write_order(dialect, chain, writing)
    dialect.after_write(preset, writing)
    return writing


def _write_value(dialect: Dialect, name: str, value: Any, acts: bool, writing: Writing) -> None:
    theirs = dialect.name_of(name)
    if theirs is None:
        unset = PARAMETERS[name].unset if name in PARAMETERS else None
        if acts and value != dialect.fixed.get(name, unset):
            writing.note("lost", name, value, _no_word(dialect, name))
        return
    made = dialect.fields[theirs]
    try:
        writing.fields[theirs] = listed(made.to_theirs(value))
    except CantSayError as error:
        writing.note("lost", name, value, str(error))
        return
    if made.remark and not _is_neutral(name, value):
        writing.note("differs", name, value, made.remark)


def _no_word(dialect: Dialect, name: str) -> str:
    if name in dialect.fixed:
        return f"{dialect.title} has no word for it; it is {dialect.fixed[name]!r} there"
    if name in GENERATION:
        return f"{dialect.title} has no word for it"
    return f"{dialect.title} has no {STAGE_OF[name].name}"


def _write_order(dialect: Dialect, chain: Chain, writing: Writing) -> None:
    lost = gone(writing.lost)
    said = tuple(
        step.stage
        for step in chain.steps
        if BY_NAME[step.stage].movable and not any(name in lost for name, _ in step.values)
    )
    if dialect.put_order is not None:
        dialect.put_order(writing, said)
        return
    theirs = tuple(stage for stage in dialect.sequence(writing.fields) if stage in said)
    if not same_order(said, theirs):
        message = f"{dialect.title} runs {', '.join(theirs)}"
        writing.note("lost", "order", list(said), message)


_BOTH_NEEDED = ("dynatemp_low", "dynatemp_high")


def gone(lost: Iterable[str]) -> set[str]:
    """The parameters of all stages that can't run without what is lost."""
    return {
        parameter.name
        for name in lost
        if name in STAGE_OF and (PARAMETERS[name].neutral is not None or name in _BOTH_NEEDED)
        for parameter in STAGE_OF[name].parameters
    }


def movable(names: Sequence[str]) -> tuple[str, ...]:
    """Those of a chain's stages that an order places."""
    return tuple(name for name in names if BY_NAME[name].movable)


def same_order(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two orders of the same stages give the same, whatever the numbers."""
    place = {name: position for position, name in enumerate(other)}
    return all(
        place[first] < place[second] or frozenset({first, second}) in COMMUTING
        for position, first in enumerate(one)
        for second in one[position + 1 :]
    )
