"""mlx-lm's server: the fields of a request.

It runs top_p, min_p, XTC and top_k on the model's own probabilities, and the temperature when it
draws. Each penalty has a window of its own, of 20 tokens where the request sets none, in which the
prompt's tokens count; 0 is the whole text. A missing temperature is 0.
"""

from __future__ import annotations

from typing import Any

from temperament.interchange.conversions import as_texts, assume, biases_as_map, biases_of
from temperament.interchange.dialect import Dialect, Field
from temperament.interchange.files import json_format, looks_like_json
from temperament.interchange.format import Reading, Writing
from temperament.presets import Preset

TITLE = "mlx-lm"
WINDOW = 20
_PROMPT = "mlx-lm counts the prompt's tokens too"
_WINDOWS = {
    "repetition_penalty": "repetition_context_size",
    "presence_penalty": "presence_context_size",
    "frequency_penalty": "frequency_context_size",
}
_OF_THE_REQUEST = (
    "model",
    "messages",
    "prompt",
    "stream",
    "stream_options",
    "draft_model",
    "num_draft_tokens",
    "adapters",
    "logprobs",
    "top_logprobs",
    "chat_template_kwargs",
    "tools",
    "role_mapping",
)


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    """Gives the penalties their windows; only that of the repetition penalty can be kept."""
    if not fields.get("temperature", 0):
        assume(fields, reading, "temperature", 0, TITLE)
    for penalty, window in _WINDOWS.items():
        if fields.get(penalty, 0) in (0, 1 if penalty == "repetition_penalty" else 0):
            fields.pop(penalty, None)
            fields.pop(window, None)
            continue
        assume(fields, reading, window, WINDOW, TITLE)
        if penalty != "repetition_penalty" and (tokens := fields.pop(window)):
            reading.note("lost", window, tokens, "Temperament counts the whole output")


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    """A penalty without a window counts the whole text."""
    if values.get("repetition_penalty", 1) != 1:
        values.setdefault("repetition_range", 0)
    for penalty in ("presence_penalty", "frequency_penalty"):
        if values.get(penalty):
            writing.fields[_WINDOWS[penalty]] = 0


DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_p": Field("top_p", lambda value: value or 1.0),
        "top_k": Field("top_k"),
        "min_p": Field("min_p"),
        "xtc_probability": Field("xtc_probability", to_program=float),
        "xtc_threshold": Field("xtc_threshold", to_program=float),
        "repetition_penalty": Field("repetition_penalty"),
        "repetition_context_size": Field("repetition_range"),
        "presence_penalty": Field("presence_penalty", remark=_PROMPT),
        "frequency_penalty": Field("frequency_penalty", remark=_PROMPT),
        "logit_bias": Field("logit_bias", biases_of, biases_as_map),
        "max_tokens": Field("max_tokens"),
        "stop": Field("stop", as_texts),
        "seed": Field("seed"),
    },
    aliases={"max_completion_tokens": "max_tokens"},
    order=("top_p", "min_p", "xtc", "top_k", "temperature"),
    defaults={"temperature": 0.0},
    fixed={"xtc_protect_structure": True, "xtc_protected": ()},
    not_sampling=dict.fromkeys(_OF_THE_REQUEST, "belongs to the request"),
    before_read=_before_read,
    before_write=_before_write,
)
FORMATS = (
    json_format(
        "mlx-lm",
        "mlx-lm server's request",
        DIALECT,
        lambda name, text: any(
            looks_like_json(text, key) for key in (*_WINDOWS.values(), "num_draft_tokens")
        ),
        version="0.32.2",
    ),
)
