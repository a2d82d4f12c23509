"""llama.cpp: the server's JSON with its `samplers`.

llama.cpp runs the samplers of the list `samplers`, in its order, and no others. Penalties and DRY
read the last 64 tokens unless the file sets another window. No window means all tokens, so "all" is
written as a number above any context. With mirostat, only the temperature runs beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temperament.interchange.conversions import (
    ADAPTIVE_TARGET,
    above_0,
    as_texts,
    assume,
    at_least_0,
    range_of,
    read_temperature_range,
    window_of,
    write_temperature_range,
)
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read
from temperament.interchange.files import json_format, looks_like_json
from temperament.interchange.format import UNSUPPORTED, CantSayError, Reading, Writing
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "llama.cpp"
VERSION = "b11549"
WINDOW = 64
USUAL_TEMPERATURE = 0.8
# their sampler -> the stages; each has a letter in --sampler-seq
SAMPLERS: Mapping[str, tuple[str, ...]] = {
    "penalties": (),
    "dry": (),
    "top_n_sigma": ("top_n_sigma",),
    "top_k": ("top_k",),
    "typ_p": ("typical_p",),
    "top_p": ("top_p",),
    "min_p": ("min_p",),
    "xtc": ("xtc",),
    "temperature": ("temperature", "dynamic_temperature"),
    "adaptive_p": ("adaptive_p",),
}
_USUAL = tuple(name for name in SAMPLERS if name != "adaptive_p")  # those that run without a list
LETTERS = dict(zip("edskypmxta", SAMPLERS, strict=True))
_SPELLINGS = {
    "typical_p": "typ_p",
    "typical": "typ_p",
    "temp": "temperature",
    "top-k": "top_k",
    "top-p": "top_p",
    "min-p": "min_p",
    "nucleus": "top_p",
    "typ-p": "typ_p",
    "top-n-sigma": "top_n_sigma",
    "typical-p": "typ_p",
    "adaptive-p": "adaptive_p",
}
_WINDOW_REMARK = "llama.cpp counts the last repeat_last_n tokens, those of the prompt too"


PENALTY_FIELDS = {
    "repeat_penalty": Field("repetition_penalty"),
    "repeat_last_n": Field("repetition_range", range_of, window_of),
    "frequency_penalty": Field("frequency_penalty", remark=_WINDOW_REMARK),
    "presence_penalty": Field("presence_penalty", remark=_WINDOW_REMARK),
    "mirostat": Field("mirostat"),
    "mirostat_tau": Field("mirostat_tau"),
    "mirostat_eta": Field("mirostat_eta"),
}
_PENALTIES = ("repeat_penalty", "frequency_penalty", "presence_penalty")


def penalties_off(fields: dict[str, Any], reading: Reading, title: str) -> None:
    """Removes the penalties where their window is 0 tokens; a missing window is 64."""
    off = {name: PARAMETERS[PENALTY_FIELDS[name].preset_field].neutral for name in _PENALTIES}
    if fields.get("repeat_last_n") == 0:
        _remove(fields, _PENALTIES, "a repeat_last_n of 0 turns it off", reading)
        del fields["repeat_last_n"]
    elif any(fields.get(name, off[name]) != off[name] for name in _PENALTIES):
        assume(fields, reading, "repeat_last_n", WINDOW, title)


def add_window(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    """Gives frequency and presence penalties their window, all tokens, where none is set."""
    if any(values.get(name, 0) for name in ("frequency_penalty", "presence_penalty")):
        values.setdefault("repetition_range", 0)


def _remove(fields: dict[str, Any], names: Sequence[str], message: str, reading: Reading) -> None:
    """Removes fields, and notes those that would change something."""
    for name in names:
        value = fields.pop(name, None)
        if value is not None and value != PARAMETERS[FIELDS[name].preset_field].unset:
            reading.note("lost", name, value, message)


def _breakers(value: Sequence[str]) -> list[str]:
    if not value:
        raise CantSayError(f"{TITLE} refuses an empty list of breakers")
    return list(value)


def _allowed_length(value: Any) -> Any:
    if value < 1:
        raise CantSayError("Temperament has no length of 0")
    return value


FIELDS: dict[str, Field] = {
    "temperature": Field("temperature"),
    "top_k": Field("top_k", at_least_0),
    "top_p": Field("top_p"),
    "min_p": Field("min_p"),
    "typical_p": Field("typical_p"),
    "top_n_sigma": Field("top_n_sigma", at_least_0, lambda value: value or -1),
    "xtc_probability": Field("xtc_probability"),
    "xtc_threshold": Field("xtc_threshold"),
    **PENALTY_FIELDS,
    "dry_multiplier": Field("dry_multiplier"),
    "dry_base": Field("dry_base"),
    "dry_allowed_length": Field("dry_allowed_length", _allowed_length),
    "dry_penalty_last_n": Field("dry_range", range_of, window_of),
    "dry_sequence_breakers": Field("dry_sequence_breakers", as_texts, _breakers),
    "adaptive_target": ADAPTIVE_TARGET,
    "adaptive_decay": Field("adaptive_decay"),
    "n_predict": Field("max_tokens", above_0),
    "max_tokens": Field("max_tokens", above_0),
    "stop": Field("stop", as_texts),
    "seed": Field("seed", lambda value: value if 0 <= value < 2**32 - 1 else None),
    "n_cmpl": Field("num_return_sequences"),
}
_DYNATEMP = ("dynatemp_range", "dynatemp_exponent")


def samplers_of(fields: Mapping[str, Any]) -> list[str]:
    """The names of the samplers that run, in order."""
    samplers = fields.get("samplers")
    if samplers is None:
        return list(_USUAL)
    if isinstance(samplers, str):
        return [LETTERS[letter] for letter in samplers if letter in LETTERS]
    return [_SPELLINGS.get(name, name) for name in samplers]


def _order(fields: Mapping[str, Any]) -> list[str]:
    if fields.get("mirostat"):
        return ["temperature", "mirostat"]
    named = samplers_of(fields)
    if "adaptive_p" in named:  # it draws the token, so it is the last
        named = [name for name in named if name != "adaptive_p"] + ["adaptive_p"]
    return [stage for name in named for stage in SAMPLERS.get(name, ())]


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    named = samplers_of(fields)
    if "samplers" in fields:
        _note_samplers(named, reading)
        fields["samplers"] = list(dict.fromkeys(name for name in named if name in SAMPLERS))
    if fields.get("mirostat"):
        names = [*_PENALTIES, "repeat_last_n", "dry_multiplier", "adaptive_target"]
        _remove(fields, names, f"{TITLE} doesn't run it beside mirostat", reading)
        for name in (*_DYNATEMP, *_OFF_BESIDE_MIROSTAT):
            fields.pop(name, None)
        named = ["temperature"]
    elif "adaptive_p" not in named and fields.get("adaptive_target", -1) >= 0:
        message = "adaptive_p isn't among the samplers"
        reading.note("lost", "adaptive_target", fields.pop("adaptive_target"), message)
    if "penalties" not in named:
        _remove(fields, _PENALTIES, "penalties isn't among the samplers", reading)
        fields.pop("repeat_last_n", None)
    else:
        penalties_off(fields, reading, TITLE)
    if "dry" not in named or fields.get("dry_penalty_last_n", WINDOW) == 0:
        _remove(fields, ("dry_multiplier",), "the samplers or the window turn DRY off", reading)
    elif fields.get("dry_multiplier"):
        assume(fields, reading, "dry_penalty_last_n", WINDOW, TITLE)
    if fields.get("xtc_threshold", 0) > 0.5:
        message = "a threshold above 0.5 turns it off"
        _remove(fields, ("xtc_probability",), message, reading)
        fields.pop("xtc_threshold")
    _read_biases(fields, reading)
    if "temperature" in samplers_of(fields):
        read_temperature_range(fields, reading, USUAL_TEMPERATURE)
    for name in _DYNATEMP:
        fields.pop(name, None)


# Samplers that llama.cpp doesn't run with mirostat. That they are off there needs no note.
_OFF_BESIDE_MIROSTAT = (
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "xtc_probability",
    "xtc_threshold",
)


def _note_samplers(named: list[str], reading: Reading) -> None:
    for name in dict.fromkeys(named):
        if name not in SAMPLERS:
            message = _NO_TFS if name == "tfs_z" else "Temperament has no such sampler"
            reading.note("lost", "samplers", name, message)
        elif named.count(name) > 1:
            reading.note("lost", "samplers", name, f"{TITLE} runs it more than once")
    first = [name for name in named if name in ("penalties", "dry")]
    if first != named[: len(first)] or first != sorted(first, reverse=True):
        message = "Temperament runs penalties first, then DRY"
        reading.note("differs", "samplers", named, message)


def _read_biases(fields: dict[str, Any], reading: Reading) -> None:
    """Reads biases by token id, and `false`, which bans a token."""
    entries = fields.pop("logit_bias", None)
    pairs = entries.items() if isinstance(entries, Mapping) else entries or ()
    biases, bans = {}, []
    for token, bias in pairs:
        if not str(token).isdigit():
            reading.note("lost", "logit_bias", token, "a text; Temperament takes token ids")
        elif bias is False:
            bans.append(int(token))
        else:
            biases[int(token)] = float(bias)
    if biases:
        reading.preset["logit_bias"] = biases
    if bans:
        reading.preset["suppress_tokens"] = bans


_BESIDE_MIROSTAT = (
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "temperature",
    "logit_bias",
    "suppress_tokens",
)


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if values.get("mirostat"):
        for name in [name for name in values if name not in _BESIDE_MIROSTAT]:
            value = values.pop(name)
            if value != PARAMETERS[name].unset:
                writing.note("lost", name, value, f"{TITLE} doesn't run it beside mirostat")
        stages = preset.chain.names
        if "temperature" in stages and stages.index("temperature") > stages.index("mirostat"):
            message = f"{TITLE} runs the temperature first"
            writing.note("lost", "order", ["mirostat", "temperature"], message)
    add_window(values, preset, writing)
    write_temperature_range(values, writing, TITLE)
    biases = [[token, bias] for token, bias in values.pop("logit_bias", ())]
    biases += [[token, False] for token in values.pop("suppress_tokens", ())]
    if biases:
        writing.fields["logit_bias"] = biases


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    if "mirostat" in stages:
        return
    theirs = {stage: name for name, stages_of in SAMPLERS.items() for stage in stages_of}
    writing.fields["samplers"] = [
        "penalties",
        "dry",
        *(theirs[stage] for stage in stages if stage in theirs),
        *(["adaptive_p"] if writing.fields.get("adaptive_target", -1) >= 0 else []),
    ]


_NO_TFS = "llama.cpp has no tail-free sampling any more; Temperament has it as tfs"
DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    defaults={"temperature": USUAL_TEMPERATURE, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
    fixed={"xtc_protect_structure": False, "xtc_protected": (), "dry_protect_ends": False},
    unsupported={"tfs_z": 1},
    reasons={"tfs_z": _NO_TFS},
    not_sampling={
        "samplers": READ_BY_ORDER,
        **dict.fromkeys(
            (
                "prompt",
                "messages",
                "model",
                "stream",
                "cache_prompt",
                "id_slot",
                "n_keep",
                "n_probs",
                "n_discard",
                "n_indent",
                "t_max_predict_ms",
                "grammar",
                "json_schema",
                "ignore_eos",
                "min_keep",
                "post_sampling_probs",
                "return_tokens",
                "lora",
                "response_fields",
                "timings_per_token",
                "n_cache_reuse",
                "backend_sampling",
            ),
            UNSUPPORTED,
        ),
    },
    before_read=_before_read,
    before_write=_before_write,
)


def read_fields(fields: Mapping[str, Any]) -> Reading:
    """The preset that the server's fields describe."""
    return read(DIALECT, fields)


_KEYS = ("samplers", "n_predict", "repeat_penalty")
FORMATS = (
    json_format(
        "llamacpp",
        "llama.cpp server JSON",
        DIALECT,
        lambda name, text: any(looks_like_json(text, key) for key in _KEYS),
        version=VERSION,
    ),
)
