"""SGLang's `--preferred-sampling-params`: a JSON object of its sampling parameters."""

from __future__ import annotations

from temperament.interchange.conversions import at_least_0, biases_as_map, biases_of
from temperament.interchange.dialect import Dialect, Field
from temperament.interchange.files import json_format, looks_like_json

DIALECT = Dialect(
    title="SGLang",
    fields={
        "temperature": Field("temperature"),
        "top_p": Field("top_p"),
        "top_k": Field("top_k", at_least_0, lambda value: value or -1),
        "min_p": Field("min_p"),
        "repetition_penalty": Field(
            "repetition_penalty", remark="SGLang counts the output only, not the prompt"
        ),
        "frequency_penalty": Field("frequency_penalty"),
        "presence_penalty": Field("presence_penalty"),
        "logit_bias": Field("logit_bias", biases_of, biases_as_map),
        "max_new_tokens": Field("max_tokens"),
        "min_new_tokens": Field("min_new_tokens"),
        "stop": Field("stop"),
        "stop_token_ids": Field(
            "eos_token_id", remark="SGLang also ends the text at the model's ids"
        ),
        "n": Field("num_return_sequences"),
        "sampling_seed": Field("seed"),
    },
    order=("temperature", "top_k", "top_p", "min_p"),
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
