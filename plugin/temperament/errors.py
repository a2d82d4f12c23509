"""The errors of the package, and the problems that they report.

::

    TemperamentError (ValueError)
    ├── PresetError      a preset or a value in one is wrong
    │   └── UnknownPreset    no preset has this name
    ├── InputError       logits, token ids or seeds of a decoding loop have the wrong form
    ├── RequestError     a request's fields contradict each other or can't be honoured
    └── EngineError      this engine can't do what is asked

All are `ValueError`: vLLM answers HTTP 400 to a `ValueError` that a request's checks raise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

# A wrong value, an unknown preset, fields that contradict, what a server's operator doesn't allow,
# what can't be done here.
Reason = Literal["value", "unknown_preset", "contradiction", "restricted", "unsupported"]

_SHOWN = 80  # characters of a value that a message repeats
MOST = 100  # problems that an error lists


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is, the wrong value, what is allowed, the nearest known names.

    `where` is a file and line (`chat.yaml:3`) or the source's name (`request`); `path` is the
    place inside it (`logit_bias.50000`), empty for the source itself. `given` is the wrong value.
    The server's metrics count a problem by its `reason`.
    """

    where: str
    path: str
    message: str
    given: str = ""
    allowed: str = ""
    nearest: tuple[str, ...] = ()
    reason: Reason = "value"

    def __str__(self) -> str:
        parts = (_one_line(self.where), _one_line(self.path), self.message)
        text = ": ".join(part for part in parts if part)
        if self.given:
            text += f"; given: {self.given}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.nearest:
            text += f"; did you mean {' or '.join(repr(name) for name in self.nearest)}?"
        return text


class TemperamentError(ValueError):
    """Base of all errors of this package; `problems` are all problems that were found.

    After the first `MOST` of them, a last one states that there are more.
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        if len(found) > MOST:
            found = (*found[:MOST], Problem("", "", "and more problems"))
        self.problems: tuple[Problem, ...] = found
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PresetError(TemperamentError):
    """A preset, or a value in one, is wrong."""


class UnknownPreset(PresetError):  # noqa: N818 - a PresetError by its base already
    """No preset has this name or alias."""


class InputError(TemperamentError):
    """Logits, token ids, seeds or a number of rows have the wrong type, shape or device."""


class RequestError(TemperamentError):
    """A request's fields contradict each other, or can't be honoured."""


class EngineError(TemperamentError):
    """This engine can't do what is asked."""


def shown(value: object) -> str:
    """Returns `repr(value)` on one line, cut to a length that fits a message."""
    try:
        text = repr(_cut(value))
    except (ValueError, RecursionError):  # an integer of thousands of digits; a very deep list
        text = f"{type(value).__name__} that is too long to show"
    return _one_line(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def _cut(value: object) -> object:
    """Returns the part of a value that is shown, so that megabytes aren't formatted in vain."""
    if isinstance(value, (str, bytes)):
        return value[: _SHOWN * 2]
    if isinstance(value, list):
        return [_cut(item) for item in value[:_SHOWN]]
    if type(value) is dict:
        return {_cut(key): _cut(item) for key, item in islice(value.items(), _SHOWN)}
    return value


def _one_line(text: str) -> str:
    if len(text) > _SHOWN * 4:
        text = text[: _SHOWN * 4 - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(name: object, names: Sequence[str]) -> tuple[str, ...]:
    """Returns up to three of `names` that a misspelt `name` may stand for, the best first."""
    if not isinstance(name, str) or len(name) > 100:
        return ()
    folded = {candidate.casefold(): candidate for candidate in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return tuple(folded[match] for match in close)
