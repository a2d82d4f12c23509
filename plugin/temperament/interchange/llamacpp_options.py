"""llama.cpp's command line and preset INI files: the server's fields, by the options' names."""

from __future__ import annotations

import configparser
import io
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from temperament.interchange.base import Format, Note, Reading, Writing, wrong
from temperament.interchange.dialect import write
from temperament.interchange.llamacpp import DIALECT, FIELDS, TITLE, read_fields
from temperament.presets import Preset
from temperament.stages import PARAMETERS

# option -> field of the server's JSON
OPTIONS: Mapping[str, str] = {
    "temp": "temperature",
    "top-k": "top_k",
    "top-p": "top_p",
    "min-p": "min_p",
    "typical": "typical_p",
    "top-n-sigma": "top_n_sigma",
    "xtc-probability": "xtc_probability",
    "xtc-threshold": "xtc_threshold",
    "repeat-penalty": "repeat_penalty",
    "repeat-last-n": "repeat_last_n",
    "frequency-penalty": "frequency_penalty",
    "presence-penalty": "presence_penalty",
    "dry-multiplier": "dry_multiplier",
    "dry-base": "dry_base",
    "dry-allowed-length": "dry_allowed_length",
    "dry-penalty-last-n": "dry_penalty_last_n",
    "dry-sequence-breaker": "dry_sequence_breakers",
    "adaptive-target": "adaptive_target",
    "adaptive-decay": "adaptive_decay",
    "dynatemp-range": "dynatemp_range",
    "dynatemp-exp": "dynatemp_exponent",
    "mirostat": "mirostat",
    "mirostat-lr": "mirostat_eta",
    "mirostat-ent": "mirostat_tau",
    "samplers": "samplers",
    "seed": "seed",
    "predict": "n_predict",
    "reverse-prompt": "stop",
    "logit-bias": "logit_bias",
}
_ALSO = {
    "temperature": "temp", "typical-p": "typical", "top-nsigma": "top-n-sigma",
    "n-predict": "predict", "n": "predict", "s": "seed", "r": "reverse-prompt",
    "l": "logit-bias", "sampling-seq": "sampler-seq",
}  # fmt: skip
_REPEATED = ("dry-sequence-breaker", "reverse-prompt", "logit-bias")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _take(fields: dict[str, Any], option: str, value: str) -> bool:
    """Adds an option's value to the fields; whether it is a sampling option."""
    option = _ALSO.get(option, option)
    if option == "sampler-seq":
        fields["samplers"] = value
    elif option == "samplers":
        fields["samplers"] = [name for name in value.split(";") if name]
    elif option == "logit-bias":
        sign = max(value.rfind("+"), value.rfind("-"))
        fields.setdefault("logit_bias", []).append([value[:sign], float(value[sign:])])
    elif option == "dry-sequence-breaker":
        breakers = fields.setdefault("dry_sequence_breakers", [])
        if value != "none":
            breakers.append(value)
    elif option == "reverse-prompt":
        fields.setdefault("stop", []).append(value)
    elif option in OPTIONS:
        fields[OPTIONS[option]] = _number(value)
    else:
        return False
    return True


def _options(fields: Mapping[str, Any], writing_note: Callable[..., None]) -> list[tuple[str, str]]:
    """The fields as options with their texts, in order."""
    names = {field: option for option, field in OPTIONS.items()}
    made = []
    for name, value in fields.items():
        option = names.get(name)
        if option is None:
            writing_note("lost", FIELDS[name].ours, value, "no option of the command line")
        elif name == "samplers":
            made.append((option, ";".join(value)))
        elif name == "logit_bias":
            for token, bias in value:
                if bias is False:
                    message = "the command line has no word for a ban"
                    writing_note("lost", "suppress_tokens", [token], message)
                else:
                    made.append((option, f"{token}{bias:+}"))
        elif isinstance(value, list):
            made += [(option, item) for item in value]
        else:
            made.append((option, str(value)))
    return made


def _write_options(preset: Preset, once: bool) -> tuple[list[tuple[str, str]], list[Note]]:
    writing = write(DIALECT, preset)
    if writing.fields.get("logit_bias"):
        writing.fields["logit_bias"] = [
            [token, bias] for token, bias in writing.fields["logit_bias"]
        ]
    _breakers(preset, writing)
    made = _options(writing.fields, writing.note)
    if once:
        for option in _REPEATED:
            values = [value for name, value in made if name == option]
            if len(values) > 1 or any("\n" in value for value in values):
                made = [pair for pair in made if pair[0] != option]
                ours = {"logit-bias": "logit_bias"}.get(option)
                ours = ours or FIELDS[OPTIONS[option]].ours
                message = "an INI file gives an option once, on one line"
                writing.note("lost", ours, values, message)
    return made, writing.notes


def _breakers(preset: Preset, writing: Writing) -> None:
    """Without breakers is sayable here, by the word none; their defaults needn't be said."""
    name = "dry_sequence_breakers"
    breakers = preset.chain.values.get(name)
    if breakers == ():
        writing.fields[name] = ["none"]
        writing.notes = [note for note in writing.notes if note.name != name]
    elif breakers == PARAMETERS[name].default:
        writing.fields.pop(name, None)


def _read_line(text: str, section: str) -> Reading:
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError as error:
        raise wrong(TITLE, f"not a command line: {error}") from None
    fields: dict[str, Any] = {}
    left: dict[str, str] = {}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-"):
            continue
        option, equals, value = word.lstrip("-").partition("=")
        if not equals and position < len(words):
            value = words[position]
        try:
            taken = _take(fields, option, value)
        except ValueError:
            raise wrong(TITLE, f"--{option} is not understood", value) from None
        if not taken:
            left[f"--{option}"] = value
        elif not equals:
            position += 1
    reading = read_fields(fields)
    for option, value in left.items():
        reading.note("left", option, value, "isn't a sampling option of ours")
    return reading


def _write_line(preset: Preset) -> tuple[str, list[Note]]:
    made, notes = _write_options(preset, once=False)
    return " ".join(f"--{option} {shlex.quote(value)}" for option, value in made), notes


def _read_ini(text: str, section: str) -> Reading:
    parser = configparser.RawConfigParser(
        strict=False, delimiters=("=",), comment_prefixes=("#", ";"), default_section=""
    )
    try:
        parser.read_string(text if text.lstrip().startswith("[") else f"[*]\n{text}")
    except configparser.Error as error:
        raise wrong(TITLE, f"not an INI file: {error.message.splitlines()[0]}") from None
    named = [name for name in parser.sections() if name != "*"]
    if not section and len(named) == 1:
        section = named[0]
    if (not section and len(named) > 1) or (section and section not in named):
        message = "no such section" if section else "which section?"
        raise wrong(TITLE, message, section, f"--section {' or '.join(named)}")
    options: dict[str, str] = {}
    for name in ("*", section):
        if name and parser.has_section(name):
            options.update(parser.items(name))
    fields: dict[str, Any] = {}
    left: dict[str, str] = {}
    for option, value in options.items():
        try:
            if not _take(fields, option.lstrip("-"), value):
                left[option] = value
        except ValueError:
            raise wrong(TITLE, f"{option} is not understood", value) from None
    reading = read_fields(fields)
    for option, value in left.items():
        reading.note("left", option, value, "isn't a sampling option of ours")
    return reading


def _write_ini(preset: Preset) -> tuple[str, list[Note]]:
    made, notes = _write_options(preset, once=True)
    out = io.StringIO()
    out.write("[*]\n")
    out.writelines(f"{option} = {value}\n" for option, value in made)
    return out.getvalue().rstrip("\n"), notes


LINE = Format(
    "llamacpp-args",
    "llama.cpp command line",
    _read_line,
    _write_line,
    lambda name, text: text.lstrip().startswith(("--", "llama-server", "llama-cli", "./llama-")),
)
INI = Format(
    "llamacpp-ini",
    "llama.cpp preset INI",
    _read_ini,
    _write_ini,
    lambda name, text: name.endswith(".ini") or text.lstrip().startswith("[*]"),
)
