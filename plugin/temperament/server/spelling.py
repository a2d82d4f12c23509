"""Spellings of numbers that vLLM takes in a request: `"0.5"`, `40.0`, `"40"`.

vLLM reads its fields with pydantic, which turns such texts into numbers. A request that vLLM takes
must not be refused because a default preset applies, so its fields are read in the same way here.
Preset files, and fields that vLLM doesn't have, take numbers alone.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from temperament.stages import PARAMETERS
from temperament.stages.kinds import IntegerKind, NumberKind, TokenBiasKind, TokensKind

_INTEGER: TypeAdapter[Any] = TypeAdapter(int)
# By the kind of a parameter; a kind comes before its base class.
_TYPES: dict[type, TypeAdapter[Any]] = {
    IntegerKind: _INTEGER,
    NumberKind: TypeAdapter(float),
    TokenBiasKind: TypeAdapter(dict[str, float]),
    TokensKind: TypeAdapter(list[int]),
}
_INTEGERS = frozenset({"max_tokens", "num_return_sequences", "seed"})


def as_vllm_reads(name: str, value: Any) -> Any:
    """Returns the number, or the list or map of numbers, that vLLM reads in one of its fields.

    `name` is the field's name in a preset. A value that vLLM doesn't take, or that isn't a
    number, is returned as it is.
    """
    type_ = _INTEGER if name in _INTEGERS else None
    if name in PARAMETERS:
        kind = PARAMETERS[name].kind
        type_ = next((one for of, one in _TYPES.items() if isinstance(kind, of)), None)
    if type_ is None:
        return value
    try:
        return type_.validate_python(value)
    except ValidationError:
        return value
