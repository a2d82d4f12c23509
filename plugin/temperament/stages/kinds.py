"""The kinds of values that a parameter can have: one object for each.

A kind knows everything that depends on the type of a value: how to check it, how to describe what
is allowed, how JSON and YAML write it, and how a batch stores it. A new kind is one class here,
whose base class determines how a batch stores it, and one function in `stages/annotations.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from temperament.stages.base import Parameter

FLOAT32_MAX = 3.4028234663852886e38
FLOAT32_TINY = 2.0**-126  # some platforms read anything below as 0

MAX_ENTRIES = 4096  # token ids, biases or sequences of one parameter
MAX_SEQUENCE = 64  # token ids in a sequence
MAX_TEXTS = 64  # texts of one parameter
MAX_TEXT = 128  # characters of a text
MAX_TEXT_BYTES = 500  # bytes of all texts of one parameter: each is a state of an automaton

Dtype = Literal["float32", "int64", "bool"]
# A token sequence, and the number that goes with it.
Entry = tuple[tuple[int, ...], float]


class Kind(ABC):
    """The type of a parameter's values. A checked value is immutable and hashable."""

    # The kind's name in the JSON of the playground.
    name: ClassVar[str]

    def annotation(self, parameter: Parameter) -> Any:
        """The pydantic annotation that checks a value and returns its immutable form."""
        from temperament.stages import annotations

        return getattr(annotations, self.name)(parameter)

    @abstractmethod
    def allowed(self, parameter: Parameter) -> str:
        """The allowed values, as messages show them."""

    def plain(self, value: Any) -> Any:
        """A checked value in the types of JSON and YAML; token ids stay integers."""
        return as_lists(value)

    def json_alternatives(self, parameter: Parameter) -> list[dict[str, Any]]:
        """JSON Schemas of further allowed values that pydantic can't derive from `annotation`."""
        return []

    def token_ids(self, value: Any) -> Iterator[int]:
        """Every token id that a checked value names."""
        return iter(())

    def texts(self, value: Any) -> tuple[str, ...]:
        """Every text that a checked value looks for."""
        return ()


class ColumnKind(Kind):
    """One number for each row of a batch: a column with a NumPy dtype."""

    dtype: ClassVar[Dtype]


class NumberKind(ColumnKind):
    """A number within the parameter's bounds; with `integer`, an integer."""

    integer: ClassVar[bool] = False
    name = "number"
    dtype: ClassVar[Dtype] = "float32"
    _noun: ClassVar[str] = "a number"

    def allowed(self, parameter: Parameter) -> str:
        text = self._noun + _interval(parameter)
        if parameter.off:
            text += f" or {', '.join(map(str, parameter.off))} (off)"
        return text

    def json_alternatives(self, parameter: Parameter) -> list[dict[str, Any]]:
        return [{"enum": list(parameter.off)}] if parameter.off else []


class IntegerKind(NumberKind):
    """An integer within the parameter's bounds."""

    integer = True
    name = "integer"
    dtype = "int64"
    _noun = "an integer"


class FlagKind(ColumnKind):
    """True or false."""

    name = "flag"
    dtype = "bool"

    def allowed(self, parameter: Parameter) -> str:
        return "true or false"


class EntriesKind(Kind):
    """Token sequences for each row of a batch, each with a number.

    `single`: every sequence is one token. `additive`: the numbers of equal sequences add up, so a
    batch must not repeat an entry to fill up a row.
    """

    single: ClassVar[bool] = False
    additive: ClassVar[bool] = False

    @abstractmethod
    def entries(self, value: Any) -> list[Entry]:
        """A checked value as sequences with their numbers, 0 where the kind has none."""

    def token_ids(self, value: Any) -> Iterator[int]:
        return (token for sequence, _ in self.entries(value) for token in sequence)


class TokensKind(EntriesKind):
    """A set of token ids: a sorted tuple. One id may replace a list."""

    name = "tokens"
    single = True

    def allowed(self, parameter: Parameter) -> str:
        return "a token id or a list of token ids"

    def json_alternatives(self, parameter: Parameter) -> list[dict[str, Any]]:
        return [{"type": "integer", "minimum": 0, "exclusiveMaximum": 2**31}]

    def entries(self, value: Any) -> list[Entry]:
        return [((token,), 0.0) for token in value]


class TokenBiasKind(EntriesKind):
    """A number for some token ids: a sorted tuple of pairs, a map in JSON and YAML."""

    name = "token_bias"
    single = True

    def allowed(self, parameter: Parameter) -> str:
        return "a map of token id to a finite number"

    def plain(self, value: Any) -> dict[int, float]:
        return dict(value)

    def entries(self, value: Any) -> list[Entry]:
        return [((token,), bias) for token, bias in value]


class SequencesKind(EntriesKind):
    """A set of token sequences: a sorted tuple of tuples."""

    name = "sequences"

    def allowed(self, parameter: Parameter) -> str:
        return "a list of lists of token ids"

    def entries(self, value: Any) -> list[Entry]:
        return [(sequence, 0.0) for sequence in value]


class SequenceBiasKind(EntriesKind):
    """A number for some token sequences: a sorted tuple of pairs."""

    name = "sequence_bias"
    additive = True

    def allowed(self, parameter: Parameter) -> str:
        return "a list of pairs: a list of token ids, and a finite number"

    def entries(self, value: Any) -> list[Entry]:
        return list(value)


class TextsKind(Kind):
    """A set of texts, matched on their bytes: a sorted tuple. One text may replace a list."""

    name = "texts"

    def allowed(self, parameter: Parameter) -> str:
        return "a text or a list of texts, none of them empty"

    def json_alternatives(self, parameter: Parameter) -> list[dict[str, Any]]:
        return [{"type": "string", "minLength": 1, "maxLength": MAX_TEXT}]

    def texts(self, value: Any) -> tuple[str, ...]:
        return tuple(value)


NUMBER = NumberKind()
INTEGER = IntegerKind()
FLAG = FlagKind()
TOKENS = TokensKind()
TOKEN_BIAS = TokenBiasKind()
SEQUENCES = SequencesKind()
SEQUENCE_BIAS = SequenceBiasKind()
TEXTS = TextsKind()


def fits_float32(value: Any) -> Any:
    """`value`. Raises `ValueError` if float32 would make it infinite, or 0 without it being 0."""
    if isinstance(value, (int, float)) and FLOAT32_MAX < abs(value) < inf:
        raise ValueError("too large for float32")
    if isinstance(value, float) and 0 < abs(value) < FLOAT32_TINY:
        raise ValueError("too close to 0 for float32")
    return value


def whole(value: Any) -> Any:
    """A whole number that is written as a float (`40.0`) as an int; any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def text_as_list(value: Any) -> Any:
    """A text as a list of one; any other value as it is."""
    return [value] if isinstance(value, str) else value


def as_lists(value: Any) -> Any:
    """Returns a value with lists instead of tuples, at every depth."""
    return [as_lists(item) for item in value] if isinstance(value, tuple) else value


def _interval(parameter: Parameter) -> str:
    """` in [0, inf)`; empty if every number is allowed."""
    low, high = parameter.low > -FLOAT32_MAX, parameter.high < FLOAT32_MAX
    if not low and not high:
        return ""
    left = f"{'(' if parameter.low_open else '['}{f'{parameter.low:.10g}' if low else '-inf'}"
    right = f"{parameter.high:.10g}" if high else "inf"
    return f" in {left}, {right}{')' if parameter.high_open or not high else ']'}"
