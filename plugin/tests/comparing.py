"""How the result of an op is compared with its definition, and where rounding decides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temperament.presets import Chain
from temperament.stages import BY_NAME, FLOAT32_MAX, PARAMETERS
from temperament.stages.kinds import NUMBER
from tests import plain, reference
from tests.plain import REMOVED, Row, RowContext


def nearby(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The values with each number changed a little, as far as its range goes."""
    changed = []
    for name, value in values.items():
        parameter = PARAMETERS[name]
        if parameter.kind is NUMBER:
            for factor in (1 - 1e-5, 1 + 1e-5):
                number = min(max(value * factor, parameter.low), parameter.high)
                changed.append({**values, name: number})
    return changed


def away_from_boundaries(
    x: Row, chain: Chain, prompt: Sequence[int], output: Sequence[int], context: RowContext
) -> bool:
    """Whether no step of the chain keeps other tokens when its values are changed a little.

    A shape removes no token, with any value.
    """
    for step in chain.steps:
        one = Chain((step,))
        after = reference.chain(x, one, prompt, output, context)
        shape = BY_NAME[step.stage].group == "shape"
        for values in [] if shape else nearby(dict(step.values)):
            other = reference.chain(x, Chain.of(values), prompt, output, context)
            if [value > REMOVED for value in other] != [value > REMOVED for value in after]:
                return False
        x = after
    return True


def in_float32(x: Row) -> Row:
    """What float32 can hold of a result: differences beyond its range are removed tokens."""
    best = max(x)
    return [value if best - value < FLOAT32_MAX / 4 else REMOVED for value in x]


def assert_same_distribution(actual: Row, expected: Row) -> None:
    """The same tokens with the same probabilities: to 1e-5, or what 24 bits allow."""
    expected = in_float32(expected)
    assert [x > REMOVED for x in in_float32(actual)] == [x > REMOVED for x in expected]
    size = max(abs(x) for x in actual if x > REMOVED)
    allowed = max(1e-5, size * 2.0**-22)
    for actual_p, expected_p in zip(plain.softmax(actual), plain.softmax(expected), strict=True):
        assert abs(actual_p - expected_p) <= allowed
