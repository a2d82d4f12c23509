"""SGLang's `--preferred-sampling-params`: a JSON object of its sampling parameters."""

from __future__ import annotations

import json
from typing import Any

from temperament.interchange.base import Format, Note, Reading
from temperament.interchange.dialect import Dialect, Field, read, write
from temperament.interchange.files import json_object, looks_like_json
from temperament.presets import Preset

TITLE = "SGLang"


def _bias(value: Any) -> dict[int, float]:
    return {int(token): float(bias) for token, bias in value.items()}


DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_p": Field("top_p"),
        "top_k": Field("top_k", lambda value: max(value, 0), lambda value: value or -1),
        "min_p": Field("min_p"),
        "repetition_penalty": Field(
            "repetition_penalty", remark="SGLang counts the output only, not the prompt"
        ),
        "frequency_penalty": Field("frequency_penalty"),
        "presence_penalty": Field("presence_penalty"),
        "logit_bias": Field(
            "logit_bias", _bias, lambda value: {str(token): bias for token, bias in value}
        ),
        "max_new_tokens": Field("max_tokens"),
        "min_new_tokens": Field("min_new_tokens"),
        "stop": Field("stop"),
        "stop_token_ids": Field("eos_token_id", remark="SGLang ends at the model's own ids too"),
        "n": Field("num_return_sequences"),
        "sampling_seed": Field("seed"),
    },
    order=("temperature", "top_k", "top_p", "min_p"),
    left=dict.fromkeys(
        ("ignore_eos", "skip_special_tokens", "spaces_between_special_tokens", "no_stop_trim",
         "json_schema", "regex", "ebnf", "structural_tag", "custom_params", "stream_interval"),
        "isn't sampling",
    ),
)  # fmt: skip


def _read(text: str, section: str) -> Reading:
    return read(DIALECT, json_object(text, TITLE))


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    return json.dumps(writing.fields, ensure_ascii=False), writing.notes


FORMAT = Format(
    "sglang",
    "SGLang --preferred-sampling-params",
    _read,
    _write,
    lambda name, text: looks_like_json(text, "max_new_tokens", "sampling_seed"),
)
