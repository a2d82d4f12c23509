"""OpenRouter's presets: a version's `config`, as its API returns it and its web page keeps it.

The fields are those of a request; each goes to the provider that answers, which runs its own order
and may ignore what it doesn't know. What a preset doesn't set is off. Source:
`/presets/{slug}/chat/completions` and "Parameters" of OpenRouter's API reference, read in November
2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.errors import PresetError
from temperament.interchange.conversions import as_texts, biases_as_map, biases_of
from temperament.interchange.dialect import Dialect, Field, read, write
from temperament.interchange.files import json_object, json_text
from temperament.interchange.format import Format, Note, Reading, wrong
from temperament.presets import Preset

TITLE = "OpenRouter"
_OF_THE_ROUTE = (
    "model",
    "models",
    "provider",
    "route",
    "plugins",
    "transforms",
    "reasoning",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "verbosity",
    "logprobs",
    "top_logprobs",
    "structured_outputs",
    "system_prompt",
)
DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_p": Field("top_p"),
        "top_k": Field("top_k"),
        "min_p": Field("min_p"),
        "top_a": Field("top_a"),
        "frequency_penalty": Field("frequency_penalty"),
        "presence_penalty": Field("presence_penalty"),
        "repetition_penalty": Field("repetition_penalty"),
        "logit_bias": Field("logit_bias", biases_of, biases_as_map),
        "seed": Field("seed"),
        "max_tokens": Field("max_tokens"),
        "stop": Field("stop", as_texts),
    },
    aliases={"max_completion_tokens": "max_tokens"},
    order=("temperature", "top_k", "top_p", "min_p", "top_a"),
    unsupported={"response_format": None},
    not_sampling=dict.fromkeys(_OF_THE_ROUTE, "isn't a sampling parameter"),
)


def _config(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `config` of a version, alone or in an answer of the API."""
    for name in ("config", "data", "designated_version", "designatedVersion"):
        inner = content.get(name)
        if isinstance(inner, Mapping):
            found = inner if name == "config" else _config(inner)
            if found is not None:
                return found
    return None


def _read(text: str, section: str) -> Reading:
    content = json_object(text, TITLE)
    config = _config(content)
    if config is None:
        raise wrong(TITLE, "not a preset", list(content), '{"config": {...}}')
    return read(DIALECT, config)


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    return json_text({"config": writing.fields}), writing.notes


def _looks(name: str, text: str) -> bool:
    try:
        return _config(json_object(text, TITLE)) is not None
    except PresetError:
        return False


FORMATS = (Format("openrouter", "OpenRouter preset", _read, _write, _looks, version="API v1"),)
