"""KoboldCpp's JSON: the fields of a request to generate, or of `--gendefaults`.

`sampler_order` has numbers: 0 top_k, 1 top_a, 2 top_p and min_p, 3 tfs, 4 typical, 5 temperature
with smoothing and top-n-sigma, 6 the repetition penalty. DRY runs first and XTC last. KoboldCpp
always samples from the 3,000 most likely tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.interchange import sillytavern
from temperament.interchange.conversions import (
    ADAPTIVE_TARGET,
    as_texts,
    assume,
    at_least_0,
    biases_as_map,
    biases_of,
    breakers_of,
    from_0,
    range_of,
    read_temperature_range,
    slope_is_off,
    some_breakers,
    window_of,
    write_temperature_range,
)
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.files import json_object, json_text, looks_like_json
from temperament.interchange.format import Format, Note, Reading, Writing
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "KoboldCpp"
# number -> the stages
NUMBERS: tuple[tuple[str, ...], ...] = (
    ("top_k",),
    ("top_a",),
    ("top_p", "min_p"),
    ("tfs",),
    ("typical_p",),
    ("temperature", "dynamic_temperature", "smoothing", "top_n_sigma"),
    (),
)
USUAL = (6, 0, 1, 3, 4, 2, 5)
VERSION = "1.76"
WINDOW = 320  # tokens that penalties and DRY look at where the file sets no range
USUAL_TEMPERATURE = 0.7

FIELDS: dict[str, Field] = {
    "temperature": Field("temperature"),
    "top_k": Field("top_k", at_least_0),
    "top_p": Field("top_p"),
    "min_p": Field("min_p"),
    "top_a": Field("top_a"),
    "tfs": Field("tfs"),
    "typical": Field("typical_p"),
    "nsigma": Field("top_n_sigma", at_least_0),
    "smoothing_factor": Field("smoothing_factor"),
    "smoothing_curve": Field("smoothing_curve"),
    "rep_pen": Field("repetition_penalty"),
    "rep_pen_range": Field(
        "repetition_range", lambda window: 1 if window < 1 else range_of(window), window_of
    ),
    "presence_penalty": Field(
        "presence_penalty",
        remark="KoboldCpp counts the last rep_pen_range tokens, those of the prompt too",
    ),
    "dry_multiplier": Field("dry_multiplier"),
    "dry_base": Field("dry_base"),
    "dry_allowed_length": Field("dry_allowed_length"),
    "dry_penalty_last_n": Field("dry_range", range_of, window_of),
    "dry_sequence_breakers": Field("dry_sequence_breakers", breakers_of, some_breakers),
    "xtc_probability": Field("xtc_probability"),
    "xtc_threshold": Field("xtc_threshold"),
    "mirostat": Field("mirostat"),
    "mirostat_tau": Field("mirostat_tau"),
    "mirostat_eta": Field("mirostat_eta"),
    "adaptive_target": ADAPTIVE_TARGET,
    "adaptive_decay": Field("adaptive_decay"),
    "logit_bias": Field("logit_bias", lambda value: biases_of(value) or None, biases_as_map),
    "banned_strings": Field(
        "banned_strings",
        lambda value: [text for text in as_texts(value) if text],
        remark="KoboldCpp goes back and draws again",
    ),
    "max_length": Field("max_tokens"),
    "stop_sequence": Field("stop", lambda value: value or None),
    "sampler_seed": Field("seed", from_0),
}
_UNSUPPORTED = {
    "rep_pen_slope": slope_is_off,
    "guidance_scale": 1,
    "grammar": "",
    "banned_tokens": [],
    "bypass_eos": False,
    "ban_eos_token": False,
    "use_default_badwordsids": False,
}
_NOT_SAMPLING = (
    "prompt",
    "memory",
    "images",
    "max_context_length",
    "n",
    "genkey",
    "trim_stop",
    "quiet",
    "render_special",
    "logprobs",
    "grammar_retain_state",
    "replace_instruct_placeholders",
    "negative_prompt",
    "stream",
    "sampler_len",
)
_PENALTIES = {"rep_pen": "repetition_penalty", "presence_penalty": "presence_penalty"}
_BESIDE_MIROSTAT = (
    "dynatemp_low",
    "dynatemp_high",
    "dynatemp_exponent",
    "adaptive_target",
    "adaptive_decay",
)


def _numbers(fields: Mapping[str, Any]) -> list[int]:
    return [int(number) for number in fields.get("sampler_order", USUAL) if number in range(7)]


def _order(fields: Mapping[str, Any]) -> list[str]:
    if fields.get("mirostat"):
        return ["temperature", "smoothing", "mirostat"]
    stages = [stage for number in _numbers(fields) for stage in NUMBERS[number]]
    return [*dict.fromkeys(stages), "xtc"]


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    numbers = _numbers(fields)
    if 6 in numbers and numbers[0] != 6:
        reading.note("differs", "sampler_order", numbers, "Temperament runs penalties first")
    off = {name: PARAMETERS[parameter].neutral for name, parameter in _PENALTIES.items()}
    if 6 not in numbers:
        for name in _PENALTIES:
            if fields.get(name, off[name]) not in (0, 1.0):
                message = f"{TITLE} doesn't run it: 6 isn't in sampler_order"
                reading.note("lost", name, fields.pop(name), message)
    penalised = any(fields.get(name, off[name]) != off[name] for name in _PENALTIES)
    if penalised:
        assume(fields, reading, "rep_pen_range", WINDOW, TITLE)
    if fields.get("dry_multiplier") and fields.get("dry_penalty_last_n", WINDOW) <= 0:
        message = "a dry_penalty_last_n of 0 turns it off"
        reading.note("lost", "dry_multiplier", fields.pop("dry_multiplier"), message)
    elif fields.get("dry_multiplier"):
        assume(fields, reading, "dry_penalty_last_n", WINDOW, TITLE)
        if penalised:
            message = f"{TITLE} runs DRY before the repetition penalty, Temperament after it"
            reading.note("differs", "dry_multiplier", fields["dry_multiplier"], message)
    if 5 in numbers and not fields.get("mirostat"):
        read_temperature_range(fields, reading, USUAL_TEMPERATURE)
    else:
        for name in ("dynatemp_range", "dynatemp_exponent"):
            fields.pop(name, None)


def _after_read(fields: Mapping[str, Any], reading: Reading) -> None:
    if reading.preset.get("xtc_probability"):
        reading.preset.setdefault("xtc_threshold", 0.2)


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if values.get("presence_penalty"):
        values.setdefault("repetition_range", 0)
    if values.get("dry_multiplier"):
        values.setdefault("dry_range", 0)
        off = {name: PARAMETERS[name].neutral for name in _PENALTIES.values()}
        if any(values.get(name, neutral) != neutral for name, neutral in off.items()):
            message = f"{TITLE} runs DRY before the repetition penalty, Temperament after it"
            writing.note("differs", "dry_multiplier", values["dry_multiplier"], message)
    if values.get("mirostat"):
        for name in _BESIDE_MIROSTAT:
            value = values.pop(name, PARAMETERS[name].unset)
            if value != PARAMETERS[name].unset:
                writing.note("lost", name, value, f"{TITLE} doesn't run it beside mirostat")
    write_temperature_range(values, writing, TITLE)


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    """Writes the order as numbers; each number means a group of stages."""
    fields: dict[str, Any] = {"mirostat": 2}
    if "mirostat" not in stages:
        numbers = [n for stage in stages for n, group in enumerate(NUMBERS) if stage in group]
        rest = [n for n in USUAL if n != 6 and n not in numbers]
        fields = {"sampler_order": [6, *dict.fromkeys(numbers), *rest]}
        writing.fields |= fields
    theirs = [stage for stage in _order(fields) if stage in stages]
    if theirs != list(stages):
        writing.note("lost", "order", list(stages), f"{TITLE} runs {', '.join(theirs)}")


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    defaults={"temperature": USUAL_TEMPERATURE, "top_k": 100, "top_p": 0.92},
    fixed={"xtc_protect_structure": False, "xtc_protected": (), "dry_protect_ends": False},
    unsupported=_UNSUPPORTED,
    not_sampling={"sampler_order": READ_BY_ORDER, **dict.fromkeys(_NOT_SAMPLING, "isn't sampling")},
    before_read=_before_read,
    after_read=_after_read,
    before_write=_before_write,
)
# SillyTavern's presets for KoboldAI have names of their own; there `max_length` is the context.
_SILLYTAVERN = {"temp": "temperature", "genamt": "max_length", "seed": "sampler_seed"}
_INTERFACE = ("streaming_kobold", "max_length", "api_server", "preset_settings", "extensions")


def _read(text: str, section: str) -> Reading:
    fields = json_object(text, TITLE)
    if not sillytavern.is_kobold(text):
        return read(DIALECT, fields)
    left = {name: fields.pop(name) for name in _INTERFACE if name in fields}
    reading = read(DIALECT, {_SILLYTAVERN.get(name, name): fields[name] for name in fields})
    for name, value in left.items():
        reading.note("left", name, value, "belongs to SillyTavern's interface")
    return reading


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    return json_text(writing.fields), writing.notes


FORMATS = (
    Format(
        "koboldcpp",
        "KoboldCpp JSON, and SillyTavern's for KoboldAI",
        _read,
        _write,
        lambda name, text: (
            any(looks_like_json(text, key) for key in ("rep_pen", "sampler_order"))
            or sillytavern.is_kobold(text)
        ),
        version=VERSION,
    ),
)
