"""tabbyAPI's sampler overrides: a YAML map of names to `override`, `force` and `additive`.

Its ExLlamaV3 backend runs temperature, top_k, top_p, min_p, then XTC; with `temperature_last`,
temperature runs after min_p. It reads many fields that it then ignores, and -1 means a range of
all tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.interchange.conversions import (
    EXLLAMAV3_TOP_P,
    at_least_0,
    biases_of,
    breakers_of,
    keep_dynatemp,
    some_breakers,
    token_bans,
)
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, same_order, write
from temperament.interchange.files import looks_like_yaml, yaml_map, yaml_text
from temperament.interchange.format import CantSayError, Format, Note, Reading, Writing
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "tabbyAPI"
_IGNORED = "the ExLlamaV3 backend reads it and ignores it; ExLlamaV2 had it"
_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")
_XTC = "ExLlama mixes both outcomes at every step; Temperament draws one of them"
_SMOOTHING = "it is a power inside the softmax there, another curve than Temperament's"


def _no_negative(value: Any) -> Any:
    if value < 0:
        raise CantSayError(f"{TITLE} takes no penalty below 0")
    return value


FIELDS: dict[str, Field] = {
    "temperature": Field("temperature"),
    "top_k": Field("top_k"),
    "top_p": Field("top_p", remark=EXLLAMAV3_TOP_P),
    "min_p": Field("min_p"),
    "top_a": Field("top_a", remark=_IGNORED),
    "tfs": Field("tfs", lambda value: value or 1.0, remark=_IGNORED),
    "typical": Field("typical_p", remark=_IGNORED),
    "skew": Field("skew", remark=_IGNORED),
    "min_temp": Field("dynatemp_low", remark=_IGNORED),
    "max_temp": Field("dynatemp_high", remark=_IGNORED),
    "temp_exponent": Field("dynatemp_exponent"),
    "xtc_probability": Field("xtc_probability", remark=_XTC),
    "xtc_threshold": Field("xtc_threshold"),
    "mirostat_mode": Field("mirostat", remark=_IGNORED),
    "mirostat_tau": Field("mirostat_tau"),
    "mirostat_eta": Field("mirostat_eta"),
    "adaptive_target": Field(
        "adaptive_target",
        lambda value: -1 if value >= 1 else value,
        lambda value: 1.0 if value < 0 else value,
    ),
    "adaptive_decay": Field("adaptive_decay"),
    "repetition_penalty": Field("repetition_penalty"),
    "penalty_range": Field("repetition_range", at_least_0, lambda value: value or -1),
    "frequency_penalty": Field("frequency_penalty", to_program=_no_negative),
    "presence_penalty": Field("presence_penalty", to_program=_no_negative),
    "dry_multiplier": Field("dry_multiplier", remark=_IGNORED),
    "dry_base": Field("dry_base"),
    "dry_allowed_length": Field("dry_allowed_length"),
    "dry_range": Field("dry_range"),
    "dry_sequence_breakers": Field("dry_sequence_breakers", breakers_of, some_breakers),
    "logit_bias": Field("logit_bias", biases_of, dict),
    "banned_strings": Field("banned_strings", remark="tabbyAPI goes back and draws again"),
    "banned_tokens": Field("suppress_tokens", token_bans),
    "allowed_tokens": Field("allowed_token_ids", token_bans),
    "max_tokens": Field("max_tokens"),
    "min_tokens": Field("min_new_tokens"),
    "stop": Field("stop"),
    "token_healing": Field("token_healing"),
}
_ALIASES = {
    "typical_p": "typical",
    "rep_pen": "repetition_penalty",
    "max_length": "max_tokens",
    "min_length": "min_tokens",
    "repetition_range": "penalty_range",
    "repetition_penalty_range": "penalty_range",
    "rep_pen_range": "penalty_range",
    "dynatemp_high": "max_temp",
    "dynatemp_low": "min_temp",
    "dynatemp_exponent": "temp_exponent",
    "stop_sequence": "stop",
    "custom_token_bans": "banned_tokens",
    "allowed_token_ids": "allowed_tokens",
    "dry_penalty_last_n": "dry_range",
    "guidance_scale": "cfg_scale",
}
ORDER = (
    "temperature",
    "dynamic_temperature",
    "top_k",
    "top_p",
    "min_p",
    "top_a",
    "tfs",
    "typical_p",
    "mirostat",
    "xtc",
    "skew",
)
_AFTER_TEMPERATURE = ("xtc", "skew")


def _order(fields: Mapping[str, Any]) -> tuple[str, ...]:
    if not fields.get("temperature_last"):
        return ORDER
    before = (stage for stage in ORDER if stage not in ("temperature", *_AFTER_TEMPERATURE))
    return (*before, "temperature", *_AFTER_TEMPERATURE)


_UNSUPPORTED: Mapping[str, Any] = {
    "repetition_decay": 0,
    "cfg_scale": 1.0,
    "smoothing_factor": 0.0,
    "ban_eos_token": False,
    "negative_prompt": "",
    "json_schema": None,
    "regex_pattern": None,
    "grammar_string": None,
    "speculative_ngram": False,
}


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    for name in ("dry_sequence_breakers", "stop", "banned_strings", "banned_tokens"):
        if fields.get(name) == []:
            del fields[name]
    if fields.get("penalty_range") == 0:
        del fields["penalty_range"]
        for name in _PENALTIES:
            value = fields.pop(name, None)
            if value is not None and value != PARAMETERS[name].neutral:
                message = "a penalty_range of 0 leaves a part of it, on the last token alone"
                reading.note("lost", name, value, message)


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    values.pop("smoothing_curve", None)
    smoothing = values.pop("smoothing_factor", 0.0)
    if smoothing:
        writing.note("lost", "smoothing_factor", smoothing, _SMOOTHING)
    keep_dynatemp(values)


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    usual, last = (
        tuple(stage for stage in _order({"temperature_last": flag}) if stage in stages)
        for flag in (False, True)
    )
    if same_order(stages, usual):
        return
    if same_order(stages, last):
        writing.fields["temperature_last"] = True
        return
    writing.note("lost", "order", list(stages), f"{TITLE} runs {', '.join(usual)}")


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    fixed={"xtc_protect_structure": True, "xtc_protected": (), "dry_protect_ends": False},
    aliases=_ALIASES,
    unsupported=_UNSUPPORTED,
    reasons={"smoothing_factor": _SMOOTHING},
    not_sampling={
        "temperature_last": READ_BY_ORDER,
        **dict.fromkeys(
            (
                "add_bos_token",
                "skip_special_tokens",
                "generate_window",
                "logprobs",
                "top_logprobs",
                "loop_detect_window",
            ),
            "isn't sampling",
        ),
    },
    before_read=_before_read,
    before_write=_before_write,
)


def _read(text: str, section: str) -> Reading:
    fields = {}
    forced = []
    for name, entry in yaml_map(text, TITLE).items():
        is_override = isinstance(entry, dict) and "override" in entry
        fields[name] = entry["override"] if is_override else entry
        if is_override and (entry.get("force") or entry.get("additive")):
            forced.append((name, entry))
    reading = read(DIALECT, fields)
    for name, entry in forced:
        message = "Temperament has no forced values: a request's own value wins"
        reading.note("differs", name, entry, message)
    return reading


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    entries = {name: {"override": value, "force": False} for name, value in writing.fields.items()}
    return yaml_text(entries), writing.notes


def _looks(name: str, text: str) -> bool:
    entries = yaml_map(text, TITLE).values() if looks_like_yaml(text) else ()
    return any(isinstance(entry, dict) and "override" in entry for entry in entries)


FORMATS = (Format("tabbyapi", "tabbyAPI sampler overrides", _read, _write, _looks, "2026-08-13"),)
