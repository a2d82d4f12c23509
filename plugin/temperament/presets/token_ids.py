"""The token ids that a preset names, against the vocabulary of the model that it is used with."""

from __future__ import annotations

from collections.abc import Iterator

from temperament.errors import PresetError, Problem
from temperament.presets.preset import Preset
from temperament.stages import PARAMETERS


def unknown_tokens(preset: Preset, vocabulary: int, where: str) -> Iterator[Problem]:
    """Yields the token ids of a preset's stages and rules that a model doesn't have.

    `vocabulary` is the number of the model's tokens, `where` names the source in the problems.
    """
    for name, token in _of_parameters(preset):
        if token >= vocabulary:
            yield Problem(where, f"{name}.{token}", "no such token", allowed=_below(vocabulary))
    for number, token in _of_rules(preset):
        if token >= vocabulary:
            path = f"switch.{number}.on.token"
            yield Problem(where, path, "no such token", str(token), _below(vocabulary))


def token_ids(preset: Preset) -> set[int]:
    """Returns the token ids of a preset's stages and rules."""
    return {token for _, token in (*_of_parameters(preset), *_of_rules(preset))}


def check_tokens(preset: Preset, vocabulary: int, where: str = "") -> None:
    """Raises `PresetError` with every token id of a preset that a model doesn't have."""
    if problems := list(unknown_tokens(preset, vocabulary, where or preset.name)):
        raise PresetError(dict.fromkeys(problems))


def _of_parameters(preset: Preset) -> Iterator[tuple[str, int]]:
    """Every token id in a preset's values, with its parameter's name."""
    layers = (preset.values, *(mode.values for mode in preset.modes))
    for name, value in dict.fromkeys(item for layer in layers for item in layer.items()):
        yield from ((name, token) for token in PARAMETERS[name].kind.token_ids(value))


def _of_rules(preset: Preset) -> Iterator[tuple[int, int]]:
    """Every token id that a rule waits for, with the rule's number."""
    for number, rule in enumerate(preset.switch):
        if isinstance(rule.on.token, int):
            yield number, rule.on.token


def _below(vocabulary: int) -> str:
    return f"ids below {vocabulary}"
