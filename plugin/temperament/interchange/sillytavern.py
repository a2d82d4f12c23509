"""SillyTavern's text-completion presets, as JSON.

The names are its interface's (`temp`, `rep_pen`, `freq_pen`); units, windows and the order of
`sampler_priority` are those of text-generation-webui. It keeps an order for each kind of server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from temperament.interchange import webui
from temperament.interchange.base import Format, Note, Reading, Writing
from temperament.interchange.breakers import breakers_json, breakers_of
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.files import json_object, looks_like_json
from temperament.presets import Preset

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
_SAME = {name: made for name, made in webui.FIELDS.items() if name not in _RENAMED.values()}
FIELDS: dict[str, Field] = {
    **{name: webui.FIELDS[theirs] for name, theirs in _RENAMED.items()},
    **_SAME,
    "adaptive_target": Field(
        "adaptive_target", lambda value: value if value >= 0 else -1, lambda value: value
    ),
    "skew": Field("skew", remark="ExLlamaV2 alone has it, behind everything else"),
    "dry_penalty_last_n": Field("dry_range", lambda value: max(value, 0)),
    "dry_sequence_breakers": Field("dry_sequence_breakers", breakers_of, breakers_json),
    "genamt": Field("max_tokens", lambda value: value if value > 0 else None),
    "seed": Field("seed", lambda value: value if value >= 0 else None),
}
_OFF: Mapping[str, Any] = {
    "rep_pen_decay": 0,
    "rep_pen_slope": 1,
    "penalty_alpha": 0,
    "num_beams": 1,
    "length_penalty": 1,
    "min_length": 0,
    "early_stopping": False,
    "guidance_scale": 1,
    "negative_prompt": "",
    "grammar_string": "",
    "json_schema": None,
    "banned_tokens": "",
    "ban_eos_token": False,
    "ignore_eos_token": False,
    "min_keep": 0,
    "rep_pen_size": 0,
    "speculative_ngram": False,
    "logit_bias": [],
    "sampler_order": None,
    "samplers": None,
    "samplers_priorities": None,
}
_ORDERS = ("sampler_order", "samplers", "samplers_priorities")
_INTERFACE = (
    "add_bos_token", "skip_special_tokens", "spaces_between_special_tokens", "streaming", "preset",
    "max_length", "json_schema_allow_empty", "include_reasoning", "extensions", "n", "type",
    "max_tokens_second", "send_banned_tokens", "global_banned_tokens", "truncation_length",
)  # fmt: skip


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    for name in _ORDERS:
        if fields.pop(name, None) and "sampler_priority" not in fields:
            reading.note("lost", name, "…", "the order for another server; sampler_priority counts")
    for name, off in _OFF.items():
        value = fields.pop(name, off)
        if value != off and name not in _ORDERS:
            message = "a slope makes ours no penalty" if name == "rep_pen_slope" else "not ours"
            reading.note("lost", name, value, f"isn't a sampling parameter of ours: {message}")
    fields["dynamic_temperature"] = fields.pop("dynatemp", False)
    dry = fields.get("dry_penalty_last_n")
    window = fields.setdefault("rep_pen_range", 0)
    # what is said of the names that text-generation-webui has holds here
    shared = {_RENAMED.get(name, name): value for name, value in fields.items()}
    webui.before_read(shared, reading)
    for name in list(fields):
        if _RENAMED.get(name, name) not in shared:
            del fields[name]
    fields["rep_pen_range"] = max(window, 0)
    reading.words.pop("dry_range", None)
    if dry is not None:
        fields["dry_penalty_last_n"] = dry


def _before_write(say: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if say.get("dynatemp_low", 1) != say.get("dynatemp_high", 1):
        writing.fields["dynatemp"] = True
        temperature = say.pop("temperature", 1.0)
        if temperature != 1:
            message = "SillyTavern's dynamic temperature takes its place"
            writing.note("lost", "temperature", temperature, message)
    else:
        for name in ("dynatemp_low", "dynatemp_high", "dynatemp_exponent"):
            say.pop(name, None)


def _order(fields: Mapping[str, Any]) -> list[str]:
    return [*webui.order_of(fields), "skew"]


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    if "skew" in stages and stages[-1] != "skew":
        writing.note("lost", "order", list(stages), "skew comes last there")
    webui.put_order(writing, [stage for stage in stages if stage != "skew"])
    writing.fields.pop("dynamic_temperature", None)


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    fixed={"xtc_protect_structure": True, "xtc_protected": ()},
    left={
        "sampler_priority": READ_BY_ORDER,
        "temperature_last": READ_BY_ORDER,
        **dict.fromkeys(_INTERFACE, "belongs to the interface"),
    },
    before_read=_before_read,
    after_read=webui.after_read,
    before_write=_before_write,
)


def _read(text: str, section: str) -> Reading:
    return read(DIALECT, json_object(text, TITLE))


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    return json.dumps(writing.fields, indent=4, ensure_ascii=False), writing.notes


FORMAT = Format(
    "sillytavern",
    "SillyTavern text-completion preset",
    _read,
    _write,
    lambda name, text: looks_like_json(text, "temp", "rep_pen"),
)
