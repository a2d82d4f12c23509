"""Chains of values, and presets of any kind, for property tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from temperament.presets import Chain
from temperament.presets.fields import MOVABLE
from temperament.presets.parsing import parse_preset
from temperament.stages import FLOAT32_TINY, PARAMETERS, Parameter
from temperament.stages.kinds import FLAG, INTEGER, TOKEN_BIAS


def chain_of(values: Mapping[str, Any]) -> Chain:
    """The chain of a preset with these values."""
    return parse_preset("x", values, where="test")[0].chain


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Any value that a preset may give to this parameter."""
    if parameter.kind is FLAG:
        return st.booleans()
    if parameter.kind is INTEGER:
        return st.integers(int(parameter.low), int(parameter.high))
    number = st.floats(
        parameter.low,
        parameter.high,
        exclude_min=parameter.low_open,
        exclude_max=parameter.high_open,
    ).filter(lambda value: value == 0 or abs(value) >= FLOAT32_TINY)
    if parameter.kind is TOKEN_BIAS:
        return st.dictionaries(st.integers(0, 2**31 - 1), number, max_size=4)
    token = st.integers(0, 2**31 - 1)
    sequence = st.lists(token, min_size=1, max_size=4)
    return {
        "number": number,
        "tokens": st.lists(token, max_size=4),
        "sequences": st.lists(sequence, max_size=4),
        "sequence_bias": st.lists(st.tuples(sequence, number), max_size=4),
        "texts": st.lists(st.text(min_size=1, max_size=20), max_size=4),
    }[parameter.kind.name]


ORDERS = st.lists(st.sampled_from(MOVABLE), unique=True, min_size=1)
ANY_PRESET = st.fixed_dictionaries(
    {}, optional={**{name: values_of(each) for name, each in PARAMETERS.items()}, "order": ORDERS}
)
