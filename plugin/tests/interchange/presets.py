"""Random presets of all stages, with numbers as people write them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from temperament import Catalogue, Preset
from temperament.presets import as_preset
from temperament.presets.fields import MOVABLE
from temperament.stages import PARAMETERS, STAGES, Parameter

# Where a parameter's range is open or very wide, what people write.
USUAL: dict[str, tuple[float, float]] = {
    "temperature": (0, 3),
    "dynatemp_low": (0, 2),
    "dynatemp_high": (0, 3),
    "dynatemp_exponent": (0.1, 4),
    "smoothing_factor": (0, 5),
    "top_n_sigma": (0, 5),
    "skew": (-3, 3),
    "mirostat_tau": (0.1, 9),
    "mirostat_eta": (0.01, 1),
    "repetition_penalty": (0.5, 2),
    "encoder_repetition_penalty": (0.5, 2),
    "dry_multiplier": (0, 4),
    "dry_base": (1, 4),
    "typical_p": (0.01, 1),
    "tfs": (0.01, 1),
    "exponential_decay_length_penalty": (0.5, 2),
}
TEXTS = st.lists(st.sampled_from(["\n", ":", '"', "*", "</s>", "你好", "a b"]), max_size=3)
TOKENS = st.integers(0, 1000)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of four digits behind the point."""
    return st.integers(round(low * 10_000), round(high * 10_000)).map(lambda n: n / 10_000)


def value(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Values of one parameter."""
    low, high = USUAL.get(parameter.name, (parameter.low, parameter.high))
    match parameter.kind.name:
        case "flag":
            return st.booleans()
        case "integer":
            return st.integers(int(max(parameter.low, 0)), int(min(parameter.high, 200)))
        case "number":
            top = high - 0.0001 if parameter.high_open and high <= 1 else high
            return numbers(max(low, -2), min(top, 5))
        case "tokens":
            return st.lists(TOKENS, max_size=3)
        case "texts":
            return TEXTS
        case "token_bias":
            return st.dictionaries(TOKENS, numbers(-9, 9), max_size=3)
        case "sequences":
            return st.lists(st.lists(TOKENS, min_size=1, max_size=3), max_size=2)
        case _:
            pair = st.tuples(st.lists(TOKENS, min_size=1, max_size=3), numbers(-9, 9))
            return st.lists(pair, max_size=2, unique_by=lambda pair: tuple(pair[0]))


@st.composite
def presets(draw: st.DrawFn) -> Preset:
    """Presets of a few stages, in any order."""
    stages = draw(st.lists(st.sampled_from(STAGES), min_size=1, max_size=6, unique=True))
    values: dict[str, Any] = {}
    for stage in stages:
        for parameter in stage.parameters:
            if parameter.neutral is not None or draw(st.booleans()):
                values[parameter.name] = draw(value(PARAMETERS[parameter.name]))
    if draw(st.booleans()):
        movable = [stage.name for stage in stages if stage.name in MOVABLE]
        if movable:
            values["order"] = draw(st.permutations(movable))
    for name, strategy in (
        ("max_tokens", st.integers(1, 999)),
        ("stop", st.lists(st.sampled_from(["END", "\n\n", "用户:"]), min_size=1, unique=True)),
        ("seed", st.integers(0, 2**31)),
    ):
        if draw(st.integers(0, 3)) == 0:
            values[name] = draw(strategy)
    return as_preset(values, Catalogue({}))
