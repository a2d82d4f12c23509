"""SillyTavern's text-completion presets, as JSON.

The field names are those of its interface (`temp`, `rep_pen`, `freq_pen`); units, windows and the
order of `sampler_priority` are those of text-generation-webui. A file has one order for each kind
of server, of which we read `sampler_priority`, and write that of llama.cpp (`samplers`) too. What a
file doesn't name keeps the value that it had in the interface, so what is off is written too.

A window of 0 is all tokens in text-generation-webui and none in llama.cpp and tabbyAPI. So all is
written as a number above any context, which the interface lowers to its own largest one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from temperament.interchange import webui
from temperament.interchange.conversions import (
    ADAPTIVE_TARGET,
    above_0,
    breakers_json,
    breakers_of,
    from_0,
    keep_dynatemp,
    lose_temperature,
    range_of,
    slope_is_off,
    window_of,
)
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field
from temperament.interchange.files import json_format, looks_like_json
from temperament.interchange.format import Reading, Writing
from temperament.interchange.llamacpp import SAMPLERS, add_window
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "SillyTavern"
_RENAMED = {
    "temp": "temperature",
    "min_temp": "dynatemp_low",
    "max_temp": "dynatemp_high",
    "rep_pen": "repetition_penalty",
    "rep_pen_range": "repetition_penalty_range",
    "freq_pen": "frequency_penalty",
    "presence_pen": "presence_penalty",
    "encoder_rep_pen": "encoder_repetition_penalty",
    "nsigma": "top_n_sigma",
}
_NOT_HERE = {*_RENAMED.values(), "custom_token_bans"}
_SAME = {name: field for name, field in webui.FIELDS.items() if name not in _NOT_HERE}
FIELDS: dict[str, Field] = {
    **{name: webui.FIELDS[theirs] for name, theirs in _RENAMED.items()},
    **_SAME,
    "rep_pen_range": Field("repetition_range", range_of, window_of),
    "adaptive_target": ADAPTIVE_TARGET,
    "skew": Field("skew", remark="only ExLlamaV2 has it, and runs it last"),
    "dry_penalty_last_n": Field("dry_range", range_of, window_of),
    "dry_sequence_breakers": Field("dry_sequence_breakers", breakers_of, breakers_json),
    "genamt": Field("max_tokens", above_0),
    "seed": Field("seed", from_0),
}
_UNSUPPORTED: Mapping[str, Any] = {
    "add_bos_token": True,
    "truncation_length": None,
    "rep_pen_decay": 0,
    "rep_pen_slope": slope_is_off,
    "penalty_alpha": 0,
    "num_beams": 1,
    "length_penalty": 1,
    "min_length": 0,
    "early_stopping": False,
    "guidance_scale": 1,
    "negative_prompt": "",
    "grammar_string": "",
    "json_schema": None,
    "ban_eos_token": False,
    "ignore_eos_token": False,
    "min_keep": 0,
    "rep_pen_size": 0,
    "speculative_ngram": False,
}
# Fields that aren't parameters of a preset, with the values that change nothing.
_OFF: Mapping[str, Any] = {
    "dynatemp": False,
    "temperature_last": False,
    "sampler_priority": list(webui.PRIORITY),
    "banned_tokens": "",
    "logit_bias": [],
}
_ORDERS = ("sampler_order", "samplers", "samplers_priorities")
_INTERFACE = (
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "streaming",
    "preset",
    "max_length",
    "json_schema_allow_empty",
    "include_reasoning",
    "extensions",
    "n",
    "type",
    "max_tokens_second",
    "stopping_strings",
    "server_urls",
    "custom_model",
    "bypass_status_check",
    "openrouter_allow_fallbacks",
    "openrouter_model",
    "openrouter_providers",
    "openrouter_quantizations",
    "generic_model",
    "mancer_model",
    "togetherai_model",
    "infermaticai_model",
    "ollama_model",
    "vllm_model",
    "aphrodite_model",
    "dreamgen_model",
    "tabby_model",
    "llamacpp_model",
    "featherless_model",
    "can_use_tokenization",
    "can_use_streaming",
    "streaming_url",
    "legacy_api",
    "name",
)


def _read_bans(fields: dict[str, Any], reading: Reading) -> None:
    """Reads lines of bans: `[128, 129]` are token ids, `"a phrase"` is a text."""
    lines = [fields.pop(name, "") for name in ("banned_tokens", "global_banned_tokens")]
    if not fields.pop("send_banned_tokens", True):
        lines = []
    texts: list[str] = []
    tokens: list[int] = []
    for line in "\n".join(lines).split("\n"):
        ids = _ids(line)
        if ids is not None:
            tokens += ids
        elif len(line) > 2 and line.startswith('"') and line.endswith('"'):
            texts.append(line[1:-1])
        elif line:
            message = "a text without quotes: each of its tokens would be banned, in any text"
            reading.note("lost", "banned_tokens", line, message)
    if texts:
        reading.preset["banned_strings"] = texts
    if tokens:
        reading.preset["suppress_tokens"] = tokens


def _ids(text: str) -> list[int] | None:
    """The token ids of a JSON list of integers; None for any other text."""
    try:
        ids = json.loads(text) if text.startswith("[") and text.endswith("]") else None
    except ValueError:
        return None
    right = isinstance(ids, list) and all(type(token) is int for token in ids)
    return ids if right else None


def _read_biases(fields: dict[str, Any], reading: Reading) -> None:
    """Reads biases of token ids; those of texts need a tokenizer."""
    biases: dict[int, float] = {}
    for entry in fields.pop("logit_bias", ()):
        text, bias = str(entry.get("text", "")), entry.get("value", 0)
        ids = _ids(text)
        if ids is None and bias:
            message = "a text, whose tokens depend on the model; Temperament takes token ids"
            reading.note("lost", "logit_bias", entry, message)
        biases |= dict.fromkeys(ids or (), float(bias))
    if biases:
        reading.preset["logit_bias"] = biases


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    """Reads what text-generation-webui has too as it does; the windows stay apart."""
    _read_bans(fields, reading)
    _read_biases(fields, reading)
    for name in _ORDERS:
        if fields.pop(name, None) and "sampler_priority" not in fields:
            message = "an order for another kind of server; sampler_priority would be read"
            reading.note("lost", name, "…", message)
    fields["dynamic_temperature"] = fields.pop("dynatemp", False)
    if fields["dynamic_temperature"] and fields.get("min_temp") != fields.get("max_temp"):
        temperature = fields.pop("temp", 1)
        if temperature != 1:
            message = "the dynamic temperature takes its place"
            reading.note("lost", "temp", temperature, message)
    dry = fields.get("dry_penalty_last_n")
    window = fields.setdefault("rep_pen_range", 0)
    shared = {_RENAMED.get(name, name): value for name, value in fields.items()}
    webui.before_read(shared, reading)
    for name in list(fields):
        if _RENAMED.get(name, name) not in shared:
            del fields[name]
    fields["rep_pen_range"] = max(window, 0)
    reading.preset.pop("dry_range", None)
    if dry is not None:
        fields["dry_penalty_last_n"] = dry


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if keep_dynatemp(values):
        writing.fields["dynatemp"] = True
        lose_temperature(values, writing, TITLE)
    add_window(values, preset, writing)
    lines = [f'"{text}"' for text in values.pop("banned_strings", ())]
    lines += [json.dumps([token]) for token in values.pop("suppress_tokens", ())]
    if lines:
        writing.fields["banned_tokens"] = "\n".join(lines)
    biases = values.pop("logit_bias", ())
    if biases:
        writing.fields["logit_bias"] = [
            {"id": f"token-{token}", "text": f"[{token}]", "value": bias} for token, bias in biases
        ]


def _order(fields: Mapping[str, Any]) -> list[str]:
    return [*webui.order_of(fields), "skew"]


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    if "skew" in stages and stages[-1] != "skew":
        writing.note("lost", "order", list(stages), f"{TITLE} runs skew last")
    webui.put_order(writing, [stage for stage in stages if stage != "skew"])
    named = [name for stage in stages for name, theirs in SAMPLERS.items() if stage in theirs]
    writing.fields["samplers"] = list(dict.fromkeys(["penalties", "dry", *named, *SAMPLERS]))
    writing.fields.pop("dynamic_temperature", None)


def _after_write(preset: Preset, writing: Writing) -> None:
    for theirs, field in FIELDS.items():
        parameter = PARAMETERS.get(field.preset_field)
        if parameter is not None and parameter.neutral is not None:
            writing.fields.setdefault(theirs, field.to_program(parameter.neutral))
    for theirs, off in _OFF.items():
        writing.fields.setdefault(theirs, off)


_OF_TEXT_COMPLETION = ("typical_p", "freq_pen", "temperature_last", "sampler_priority", "dynatemp")


def is_kobold(text: str) -> bool:
    """Whether a JSON text is one of SillyTavern's presets for KoboldAI, with its field names."""
    if not any(looks_like_json(text, "temp", name) for name in ("typical", "sampler_order")):
        return False
    return not any(looks_like_json(text, name) for name in _OF_TEXT_COMPLETION)


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    fixed={"xtc_protect_structure": True, "xtc_protected": ()},
    unsupported=_UNSUPPORTED,
    reasons={"rep_pen_slope": "Temperament's repetition penalty has no slope"},
    not_sampling={
        "sampler_priority": READ_BY_ORDER,
        "temperature_last": READ_BY_ORDER,
        **dict.fromkeys(_INTERFACE, "belongs to the interface"),
    },
    before_read=_before_read,
    after_read=webui.after_read,
    before_write=_before_write,
    after_write=_after_write,
)
FORMATS = (
    json_format(
        "sillytavern",
        "SillyTavern text-completion preset",
        DIALECT,
        lambda name, text: looks_like_json(text, "temp", "rep_pen") and not is_kobold(text),
        version="1.19.0",
        indent=4,
    ),
)
