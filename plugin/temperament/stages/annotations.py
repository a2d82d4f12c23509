"""The pydantic annotation of each kind of value: one function for each kind, by the kind's name.

An annotation checks a value and returns it in its immutable form. They are in another file
than the kinds, because importing `temperament.stages` must not import pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from temperament.stages.base import Parameter
from temperament.stages.kinds import (
    MAX_ENTRIES,
    MAX_SEQUENCE,
    MAX_TEXT,
    MAX_TEXT_BYTES,
    MAX_TEXTS,
    fits_float32,
    text_as_list,
    whole,
)

_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_Token = Annotated[int, Field(strict=True, ge=0, lt=2**31), BeforeValidator(whole)]
_Sequence = Annotated[tuple[_Token, ...], Field(min_length=1, max_length=MAX_SEQUENCE)]


def number(parameter: Parameter) -> Any:
    """A float within the parameter's bounds that float32 can hold."""
    return _or_off(parameter, _float(parameter))


def integer(parameter: Parameter) -> Any:
    """An int within the parameter's bounds."""
    bounds: dict[str, Any] = {name: int(bound) for name, bound in _bounds(parameter).items()}
    number = Annotated[int, Field(strict=True, **bounds), BeforeValidator(whole)]
    return _or_off(parameter, number)


def flag(parameter: Parameter) -> Any:
    """A bool."""
    return Annotated[bool, Field(strict=True)]


def tokens(parameter: Parameter) -> Any:
    """A token id or several as a sorted tuple, each once."""
    return Annotated[
        tuple[_Token, ...],
        Field(max_length=MAX_ENTRIES),
        BeforeValidator(_number_as_list),
        AfterValidator(lambda tokens: tuple(sorted(set(tokens)))),
    ]


def token_bias(parameter: Parameter) -> Any:
    """A map of token ids (integers, or texts as in JSON) as a sorted tuple of pairs."""
    token = Annotated[int, Field(ge=0, lt=2**31), BeforeValidator(_token_id)]
    bias: Any = _float(parameter)
    return Annotated[
        dict[token, bias],
        Field(max_length=MAX_ENTRIES),
        BeforeValidator(_each_token_once),
        AfterValidator(lambda biases: tuple(sorted(biases.items()))),
    ]


def sequences(parameter: Parameter) -> Any:
    """Token sequences as a sorted tuple, each once."""
    return Annotated[
        tuple[_Sequence, ...],
        Field(max_length=MAX_ENTRIES),
        AfterValidator(lambda sequences: tuple(sorted(set(sequences)))),
    ]


def sequence_bias(parameter: Parameter) -> Any:
    """Pairs of a token sequence and a number as a sorted tuple, each sequence once.

    Transformers' map of tuples to numbers, which only Python can write, is taken too.
    """
    bias: Any = _float(parameter)
    return Annotated[
        tuple[tuple[_Sequence, bias], ...],
        Field(max_length=MAX_ENTRIES),
        BeforeValidator(lambda biases: [*biases.items()] if isinstance(biases, dict) else biases),
        AfterValidator(lambda biases: tuple(sorted(dict(biases).items()))),
    ]


def texts(parameter: Parameter) -> Any:
    """A text or a list of texts as a sorted tuple, each once."""
    return Annotated[
        tuple[Annotated[str, Field(strict=True, min_length=1, max_length=MAX_TEXT)], ...],
        Field(max_length=MAX_TEXTS),
        BeforeValidator(text_as_list),
        AfterValidator(_few_bytes),
    ]


def _float(parameter: Parameter) -> Any:
    return Annotated[
        float,
        Field(strict=True, allow_inf_nan=False, **_bounds(parameter)),
        BeforeValidator(fits_float32),
    ]


def _bounds(parameter: Parameter) -> dict[str, Any]:
    return {
        "gt" if parameter.low_open else "ge": parameter.low,
        "lt" if parameter.high_open else "le": parameter.high,
    }


def _or_off(parameter: Parameter, number: Any) -> Any:
    """The number, where each of the parameter's spellings of "off" becomes its neutral value."""
    if not parameter.off:
        return number

    def turn_off(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        is_off = not isinstance(value, bool) and value in parameter.off
        return parameter.neutral if is_off else check(value)

    return Annotated[number, WrapValidator(turn_off)]


def _number_as_list(value: Any) -> Any:
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _token_id(token: Any) -> Any:
    token = whole(token)
    if isinstance(token, bool) or not _TOKEN_ID.fullmatch(str(token)):
        raise ValueError("not a token id")
    return token


def _each_token_once(biases: Any) -> Any:
    if isinstance(biases, Mapping) and len({str(token) for token in biases}) < len(biases):
        raise ValueError("a token id occurs twice, as a number and as a text")
    return biases


def _few_bytes(texts: tuple[str, ...]) -> tuple[str, ...]:
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"{size} bytes together, more than {MAX_TEXT_BYTES}")
    return tuple(sorted(set(texts)))
