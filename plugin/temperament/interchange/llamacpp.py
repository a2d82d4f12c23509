"""llama.cpp: the server's JSON with its `samplers`.

The samplers run in the order of `samplers`, and those that it doesn't name don't run. Penalties
and DRY look at the last 64 tokens unless told otherwise; there is no word for all, so a number
longer than any context stands for it. With mirostat nothing runs but it and the temperature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from temperament.interchange.base import (
    CantSayError,
    Format,
    Note,
    Reading,
    Writing,
    exact,
    plain,
)
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.files import json_object, looks_like_json
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "llama.cpp"
ALL = 2**20  # tokens: longer than any context
WINDOW = 64
# their sampler -> our stages; each has a letter in --sampler-seq
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
}
LETTERS = dict(zip("edskypmxt", SAMPLERS, strict=True))
_SPELLINGS = {"typical_p": "typ_p", "typical": "typ_p", "temp": "temperature", "top-k": "top_k",
              "top-p": "top_p", "min-p": "min_p", "nucleus": "top_p", "typ-p": "typ_p",
              "top-n-sigma": "top_n_sigma", "typical-p": "typ_p"}  # fmt: skip
_WINDOW_REMARK = "llama.cpp counts the last repeat_last_n tokens, the prompt's too"


def all_or(range_: int) -> int:
    """Our range of tokens, 0 for all, as a window of theirs."""
    return range_ or ALL


def range_of(window: int) -> int:
    """Their window of tokens as our range, 0 for all; -1 was all in older versions."""
    return 0 if window < 0 or window >= ALL else window


PENALTY_FIELDS = {
    "repeat_penalty": Field("repetition_penalty"),
    "repeat_last_n": Field("repetition_range", range_of, all_or),
    "frequency_penalty": Field("frequency_penalty", remark=_WINDOW_REMARK),
    "presence_penalty": Field("presence_penalty", remark=_WINDOW_REMARK),
    "mirostat": Field("mirostat"),
    "mirostat_tau": Field("mirostat_tau"),
    "mirostat_eta": Field("mirostat_eta"),
}
_PENALTIES = ("repeat_penalty", "frequency_penalty", "presence_penalty")


def penalties_off(fields: dict[str, Any], reading: Reading) -> None:
    """A window of 0 tokens is off; a missing one is 64. Mirostat leaves only the temperature."""
    window = fields.get("repeat_last_n", WINDOW)
    if window == 0:
        _take_out(fields, _PENALTIES, "repeat_last_n is 0, which is off", reading)
        del fields["repeat_last_n"]
    elif any(name in fields for name in _PENALTIES) or "repeat_last_n" in fields:
        fields["repeat_last_n"] = window


def last_n(say: dict[str, Any], preset: Preset, writing: Writing) -> None:
    """Frequency and presence alone need a window too: all tokens."""
    if any(say.get(name, 0) for name in ("frequency_penalty", "presence_penalty")):
        say.setdefault("repetition_range", 0)


def _take_out(fields: dict[str, Any], names: Sequence[str], message: str, reading: Reading) -> None:
    for name in names:
        value = fields.pop(name, None)
        if value is not None and not _off(name, value):
            reading.note("lost", name, value, message)


def _off(name: str, value: Any) -> bool:
    ours = FIELDS[name].ours
    return bool(value == PARAMETERS[ours].unset)


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else list(value)


def _say_breakers(value: Sequence[str]) -> list[str]:
    if not value:
        raise CantSayError("a list without breakers is refused there")
    return list(value)


def _allowed_length(value: Any) -> Any:
    if value < 1:
        raise CantSayError("0 is no length of ours")
    return value


FIELDS: dict[str, Field] = {
    "temperature": Field("temperature"),
    "top_k": Field("top_k", lambda value: max(value, 0)),
    "top_p": Field("top_p"),
    "min_p": Field("min_p"),
    "typical_p": Field("typical_p"),
    "top_n_sigma": Field("top_n_sigma", lambda value: max(value, 0.0), lambda value: value or -1),
    "xtc_probability": Field("xtc_probability"),
    "xtc_threshold": Field("xtc_threshold"),
    **PENALTY_FIELDS,
    "dry_multiplier": Field("dry_multiplier"),
    "dry_base": Field("dry_base"),
    "dry_allowed_length": Field("dry_allowed_length", _allowed_length),
    "dry_penalty_last_n": Field("dry_range", range_of, all_or),
    "dry_sequence_breakers": Field("dry_sequence_breakers", _texts, _say_breakers),
    "adaptive_target": Field(
        "adaptive_target", lambda value: value if value >= 0 else -1, lambda value: value
    ),
    "adaptive_decay": Field("adaptive_decay"),
    "n_predict": Field("max_tokens", lambda value: value if value > 0 else None),
    "max_tokens": Field("max_tokens", lambda value: value if value > 0 else None),
    "stop": Field("stop", _texts),
    "seed": Field("seed", lambda value: value if 0 <= value < 2**32 - 1 else None),
    "n_cmpl": Field("num_return_sequences"),
}
_DYNATEMP = ("dynatemp_range", "dynatemp_exponent")


def samplers_of(fields: Mapping[str, Any]) -> list[str]:
    """The names of the samplers that run, in order."""
    given = fields.get("samplers")
    if given is None:
        return list(SAMPLERS)
    if isinstance(given, str):
        return [LETTERS[letter] for letter in given if letter in LETTERS]
    return [_SPELLINGS.get(name, name) for name in given]


def _order(fields: Mapping[str, Any]) -> list[str]:
    if fields.get("mirostat"):
        return ["temperature", "mirostat"]
    return [stage for name in samplers_of(fields) for stage in SAMPLERS.get(name, ())]


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    named = samplers_of(fields)
    if "samplers" in fields:
        for name in dict.fromkeys(named):
            if name not in SAMPLERS:
                reading.note("lost", "samplers", name, "a sampler that isn't ours")
            elif named.count(name) > 1:
                reading.note("lost", "samplers", name, "runs more than once there")
        first = [name for name in named if name in ("penalties", "dry")]
        if first != named[: len(first)] or first != sorted(first, reverse=True):
            reading.note("differs", "samplers", named, "penalties, then DRY, run first with us")
        fields["samplers"] = list(dict.fromkeys(name for name in named if name in SAMPLERS))
    if fields.get("mirostat"):
        names = [*_PENALTIES, "repeat_last_n", "dry_multiplier", "adaptive_target"]
        _take_out(fields, names, "doesn't run there beside mirostat", reading)
        for name in (*_DYNATEMP, *_KEPT_BY_MIROSTAT):
            fields.pop(name, None)
        named = ["temperature"]
    if "penalties" not in named:
        _take_out(fields, _PENALTIES, "penalties isn't among the samplers", reading)
        fields.pop("repeat_last_n", None)
    else:
        penalties_off(fields, reading)
    if "dry" not in named or fields.get("dry_penalty_last_n", WINDOW) == 0:
        _take_out(fields, ("dry_multiplier",), "DRY is off there", reading)
    else:
        fields.setdefault("dry_penalty_last_n", WINDOW)
    if fields.get("xtc_threshold", 0) > 0.5:
        message = "a threshold above 0.5 is off there"
        _take_out(fields, ("xtc_probability",), message, reading)
        fields.pop("xtc_threshold")
    _read_biases(fields, reading)
    _read_dynatemp(fields, reading)


# What would only be told to be off beside mirostat.
_KEPT_BY_MIROSTAT = ("top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "xtc_probability",
                     "xtc_threshold")  # fmt: skip


def _read_biases(fields: dict[str, Any], reading: Reading) -> None:
    given = fields.pop("logit_bias", None)
    pairs = given.items() if isinstance(given, Mapping) else given or ()
    biases, bans = {}, []
    for token, bias in pairs:
        if not str(token).isdigit():
            reading.note("lost", "logit_bias", token, "a text: give token ids")
        elif bias is False:
            bans.append(int(token))
        else:
            biases[int(token)] = float(bias)
    if biases:
        reading.words["logit_bias"] = biases
    if bans:
        reading.words["suppress_tokens"] = bans


def _read_dynatemp(fields: dict[str, Any], reading: Reading) -> None:
    """A range around the temperature is two temperatures of ours, in place of the one."""
    range_ = fields.pop("dynatemp_range", 0)
    exponent = fields.pop("dynatemp_exponent", 1.0)
    if range_ <= 0 or "temperature" not in samplers_of(fields):
        return
    middle = exact(fields.get("temperature", 0.8))
    fields["temperature"] = 1.0
    low, high = max(middle - exact(range_), exact(0)), middle + exact(range_)
    reading.words |= {"dynatemp_low": float(low), "dynatemp_high": float(high)}
    if exponent != 1:
        reading.words["dynatemp_exponent"] = exponent


def _after_read(fields: Mapping[str, Any], reading: Reading) -> None:
    if reading.words.get("xtc_probability"):
        reading.words["xtc_protect_structure"] = False


def put_dynatemp(say: dict[str, Any], writing: Writing, title: str) -> None:
    """Two temperatures of ours are a middle and a range of theirs, in place of the one."""
    names = ("dynatemp_low", "dynatemp_high", "dynatemp_exponent")
    low, high, exponent = (say.pop(name, PARAMETERS[name].unset) for name in names)
    if low == high:
        return
    if low > high:
        for name, value in zip(names, (low, high, exponent), strict=True):
            message = f"{title} has no temperature that falls with the entropy"
            writing.note("lost", name, value, message)
        return
    temperature = say.pop("temperature", 1.0)
    if temperature != 1:
        message = f"{title}'s dynamic temperature takes its place"
        writing.note("lost", "temperature", temperature, message)
    writing.fields["temperature"] = plain((exact(low) + exact(high)) / 2)
    writing.fields["dynatemp_range"] = plain((exact(high) - exact(low)) / 2)
    writing.fields["dynatemp_exponent"] = exponent


def _before_write(say: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if say.get("mirostat"):
        for name in list(say):
            parameter = PARAMETERS[name]
            if name not in ("mirostat", "mirostat_tau", "mirostat_eta", "temperature",
                            "logit_bias", "suppress_tokens"):  # fmt: skip
                value = say.pop(name)
                if value != parameter.unset:
                    writing.note("lost", name, value, "doesn't run there beside mirostat")
        stages = preset.chain.names
        if "temperature" in stages and stages.index("temperature") > stages.index("mirostat"):
            message = "the temperature comes first there"
            writing.note("lost", "order", ["mirostat", "temperature"], message)
    last_n(say, preset, writing)
    put_dynatemp(say, writing, TITLE)
    biases = [[token, bias] for token, bias in say.pop("logit_bias", ())]
    biases += [[token, False] for token in say.pop("suppress_tokens", ())]
    if biases:
        writing.fields["logit_bias"] = biases


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    if "mirostat" in stages:
        return
    theirs = {stage: name for name, mine in SAMPLERS.items() for stage in mine}
    writing.fields["samplers"] = [
        "penalties",
        "dry",
        *(theirs[stage] for stage in stages if stage in theirs),
    ]


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    defaults={"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
    fixed={"xtc_protect_structure": False, "xtc_protected": ()},
    left={
        "samplers": READ_BY_ORDER,
        **dict.fromkeys(
            ("prompt", "messages", "model", "stream", "cache_prompt", "id_slot", "n_keep",
             "n_probs", "n_discard", "n_indent", "t_max_predict_ms", "grammar", "json_schema",
             "ignore_eos", "min_keep", "post_sampling_probs", "return_tokens", "lora",
             "response_fields", "timings_per_token", "n_cache_reuse", "backend_sampling"),
            "isn't a sampling parameter of ours",
        ),
    },
    before_read=_before_read,
    after_read=_after_read,
    before_write=_before_write,
)  # fmt: skip


def _read_server(text: str, section: str) -> Reading:
    return read_fields(json_object(text, TITLE))


def read_fields(fields: Mapping[str, Any]) -> Reading:
    """What the server's fields say, in our words."""
    return read(DIALECT, fields)


def _write_server(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    return json.dumps(writing.fields, indent=2, ensure_ascii=False), writing.notes


SERVER = Format(
    "llamacpp",
    "llama.cpp server JSON",
    _read_server,
    _write_server,
    lambda name, text: (
        looks_like_json(text, "samplers")
        or looks_like_json(text, "n_predict")
        or looks_like_json(text, "repeat_penalty")
    ),
)
