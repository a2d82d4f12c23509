"""SGLang's `--preferred-sampling-params`: a JSON object of its sampling parameters.

Both top-k and top-p are taken from the whole distribution: in a preset, top-p first. On a GPU
(FlashInfer) one runs on what the other kept where any request of the batch has a `min_p`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.interchange.conversions import at_least_0, biases_as_map, biases_of
from temperament.interchange.dialect import Dialect, Field
from temperament.interchange.files import json_format, looks_like_json
from temperament.interchange.format import CantSayError


def _penalty(value: Any) -> Any:
    if value > MAX_PENALTY:
        raise CantSayError(f"SGLang takes at most {MAX_PENALTY}")
    return value


def _stops(value: Any) -> Any:
    if len(value) > MAX_STOPS:
        raise CantSayError(f"SGLang takes at most {MAX_STOPS} texts")
    return value


def _order(fields: Mapping[str, Any]) -> tuple[str, ...]:
    cuts = ("top_k", "top_p") if fields.get("min_p") else ("top_p", "top_k")
    return ("temperature", *cuts, "min_p")


MAX_STOPS = 32
MAX_PENALTY = 2

DIALECT = Dialect(
    title="SGLang",
    fields={
        "temperature": Field("temperature"),
        "top_p": Field("top_p"),
        "top_k": Field("top_k", at_least_0, lambda value: value or -1),
        "min_p": Field("min_p"),
        "repetition_penalty": Field(
            "repetition_penalty",
            to_program=_penalty,
            remark="SGLang counts the output only, not the prompt",
        ),
        "frequency_penalty": Field("frequency_penalty"),
        "presence_penalty": Field("presence_penalty"),
        "logit_bias": Field("logit_bias", biases_of, biases_as_map),
        "max_new_tokens": Field("max_tokens"),
        "min_new_tokens": Field("min_new_tokens"),
        "stop": Field("stop", to_program=_stops),
        "stop_token_ids": Field(
            "eos_token_id", remark="SGLang also ends the text at the model's ids"
        ),
        "n": Field("num_return_sequences"),
        "sampling_seed": Field("seed"),
    },
    order=_order,
    unsupported={"beam_width": None, "stop_regex": None, "watermark": None},
    not_sampling=dict.fromkeys(
        (
            "ignore_eos",
            "skip_special_tokens",
            "spaces_between_special_tokens",
            "no_stop_trim",
            "json_schema",
            "regex",
            "ebnf",
            "structural_tag",
            "custom_params",
            "stream_interval",
        ),
        "isn't sampling",
    ),
)
FORMATS = (
    json_format(
        "sglang",
        "SGLang --preferred-sampling-params",
        DIALECT,
        lambda name, text: looks_like_json(text, "max_new_tokens", "sampling_seed"),
        version="0.5.23",
        indent=None,
    ),
)
