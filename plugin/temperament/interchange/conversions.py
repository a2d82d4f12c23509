"""Conversions that the fields of several programs share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from temperament.interchange.dialect import Field
from temperament.interchange.format import CantSayError, Reading, Writing, exact, plain
from temperament.stages import PARAMETERS

# Where ExLlamaV3, and so tabbyAPI, differs from the stage.
EXLLAMAV3_TOP_P = "ExLlamaV3 removes the token that crosses the mass; Temperament keeps it"
DYNATEMP = ("dynatemp_low", "dynatemp_high", "dynatemp_exponent")


def at_least_0(value: Any) -> Any:
    """Raises a negative number to 0: the program may write "off" below 0, a preset has 0."""
    return max(value, 0)


def above_0(value: Any) -> Any:
    """Returns a limit; None for 0 and less, which mean that there is none."""
    return None if value <= 0 else value


def from_0(value: Any) -> Any:
    """Returns a seed; None for a negative one, which asks for a random seed."""
    return None if value < 0 else value


def as_texts(value: Any) -> list[str]:
    """A text or a list of texts, as a list."""
    return [value] if isinstance(value, str) else list(value)


ADAPTIVE_TARGET = Field("adaptive_target", lambda value: value if value >= 0 else -1)


def biases_of(value: Mapping[Any, Any]) -> dict[int, float]:
    """Biases by token id, from a map whose keys may be texts."""
    return {int(token): float(bias) for token, bias in value.items()}


def biases_as_map(value: Any) -> dict[str, float]:
    """A preset's biases as a map for JSON, in which keys are texts."""
    return {str(token): bias for token, bias in value}


def breakers_of(value: Any) -> list[str]:
    """DRY's sequence breakers from a list, from a JSON list, or from one without its brackets."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text if text.startswith("[") else f"[{text}]")
        except ValueError:
            value = [part.strip() for part in text.split(",")]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CantSayError("not a list of texts")
    return [item for item in value if item]


def token_bans(value: Any) -> list[int] | None:
    """The token ids of a list, or of a text with commas between them; None if there are none."""
    parts = value.split(",") if isinstance(value, str) else value
    return [int(part) for part in parts if str(part).strip()] or None


def bans_text(value: Any) -> str:
    """Token ids as a text with commas between them."""
    return ",".join(map(str, value))


def breakers_json(value: Any) -> str:
    """The breakers as a JSON list."""
    return json.dumps(list(value), ensure_ascii=False)


def breakers_text(value: Any) -> str:
    """The breakers as a JSON list without its brackets."""
    return breakers_json(value)[1:-1]


def some_breakers(value: Any) -> list[str]:
    """The breakers, for a program that reads an empty list as its default ones."""
    if not value:
        raise CantSayError("an empty list of breakers means the default ones there")
    return list(value)


def read_temperature_range(fields: dict[str, Any], reading: Reading, usual: float) -> None:
    """Reads a temperature and `dynatemp_range` around it as a preset's two temperatures.

    `usual` is the program's temperature if the field is missing. The preset's `temperature` becomes
    1, since the program runs only one of the two stages.
    """
    distance = fields.pop("dynatemp_range", 0)
    exponent = fields.pop("dynatemp_exponent", 1.0)
    if distance <= 0:
        return
    middle = exact(fields.get("temperature", usual))
    fields["temperature"] = 1.0
    low, high = max(middle - exact(distance), exact(0)), middle + exact(distance)
    reading.preset |= {"dynatemp_low": float(low), "dynatemp_high": float(high)}
    if exponent != 1:
        reading.preset["dynatemp_exponent"] = exponent


def write_temperature_range(values: dict[str, Any], writing: Writing, title: str) -> None:
    """Writes a preset's two temperatures as a temperature and `dynatemp_range` around it."""
    if not keep_dynatemp(values):
        return
    low, high, exponent = (values.pop(name, PARAMETERS[name].unset) for name in DYNATEMP)
    if low > high:
        for name, value in zip(DYNATEMP, (low, high, exponent), strict=True):
            message = f"{title} has no temperature that falls with the entropy"
            writing.note("lost", name, value, message)
        return
    lose_temperature(values, writing, title)
    writing.fields["temperature"] = plain((exact(low) + exact(high)) / 2)
    writing.fields["dynatemp_range"] = plain((exact(high) - exact(low)) / 2)
    writing.fields["dynatemp_exponent"] = exponent


def keep_dynatemp(values: dict[str, Any]) -> bool:
    """Whether the dynamic temperature is on; removes its parameters where it is off."""
    low, high = (values.get(name, PARAMETERS[name].unset) for name in DYNATEMP[:2])
    if low != high:
        return True
    for name in DYNATEMP:
        values.pop(name, None)
    return False


def lose_temperature(values: dict[str, Any], writing: Writing, title: str) -> None:
    """Removes the plain temperature, for a program that runs one of the two stages."""
    temperature = values.pop("temperature", 1.0)
    if temperature != 1:
        message = f"{title}'s dynamic temperature takes its place"
        writing.note("lost", "temperature", temperature, message)


def slope_is_off(slope: Any) -> bool:
    """Whether KoboldAI's slope of the repetition penalty changes nothing."""
    return slope is None or not 0 < slope < 1


def assume(fields: dict[str, Any], reading: Reading, name: str, value: Any, title: str) -> None:
    """Gives a missing field the program's value, with a note."""
    if name not in fields:
        fields[name] = value
        reading.note("default", name, value, f"not in the file: {title}'s default")


# A window of tokens that is longer than any context: llama.cpp and KoboldCpp have no value for all.
ALL = 2**20


def range_of(window: int) -> int:
    """The program's window of tokens as a preset's range, 0 for all (-1 in older llama.cpp)."""
    return 0 if window < 0 or window >= ALL else window


def window_of(tokens: int) -> int:
    """A preset's range of tokens, 0 for all, as the program's window."""
    return tokens or ALL
