"""llama.cpp's command line and its preset INI files: options for the server's fields."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from temperament.interchange.base import UNSUPPORTED, Format, Note, Reading, Writing, wrong
from temperament.interchange.dialect import write
from temperament.interchange.files import only_section
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
    "temperature": "temp",
    "typical-p": "typical",
    "top-nsigma": "top-n-sigma",
    "n-predict": "predict",
    "n": "predict",
    "s": "seed",
    "r": "reverse-prompt",
    "l": "logit-bias",
    "sampling-seq": "sampler-seq",
}
_REPEATED = ("dry-sequence-breaker", "reverse-prompt", "logit-bias")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _read_option(fields: dict[str, Any], option: str, value: str) -> bool:
    """Adds an option's value to the fields; False if it is no sampling option."""
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


def _write_options(writing: Writing) -> list[tuple[str, str]]:
    """The fields as options with their texts, in order."""
    names = {field: option for option, field in OPTIONS.items()}
    options = []
    for name, value in writing.fields.items():
        option = names.get(name)
        if option is None:
            message = "the command line has no option for it"
            writing.note("lost", FIELDS[name].preset_field, value, message)
        elif name == "samplers":
            options.append((option, ";".join(value)))
        elif name == "logit_bias":
            for token, bias in value:
                if bias is False:
                    message = "the command line has no option that bans a token"
                    writing.note("lost", "suppress_tokens", [token], message)
                else:
                    options.append((option, f"{token}{bias:+}"))
        elif isinstance(value, list):
            options += [(option, item) for item in value]
        else:
            options.append((option, str(value)))
    return options


def _options_of(preset: Preset) -> tuple[list[tuple[str, str]], Writing]:
    writing = write(DIALECT, preset)
    _write_breakers(preset, writing)
    return _write_options(writing), writing


def _write_breakers(preset: Preset, writing: Writing) -> None:
    """Writes an empty list of breakers as `none`, and leaves out llama.cpp's default breakers."""
    name = "dry_sequence_breakers"
    breakers = preset.chain.values.get(name)
    if breakers == ():
        writing.fields[name] = ["none"]
        writing.notes = [note for note in writing.notes if note.name != name]
    elif breakers == PARAMETERS[name].default:
        writing.fields.pop(name, None)


def _with_left(reading: Reading, left: Iterable[tuple[str, str]]) -> Reading:
    for option, value in left:
        reading.note("left", option, value, UNSUPPORTED)
    return reading


def _read_line(text: str, section: str) -> Reading:
    try:
        arguments = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError as error:
        raise wrong(TITLE, f"not a command line: {error}") from None
    fields: dict[str, Any] = {}
    left: dict[str, str] = {}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if not argument.startswith("-"):
            continue
        option, equals, value = argument.lstrip("-").partition("=")
        if not equals and position < len(arguments):
            value = arguments[position]
        try:
            is_sampling = _read_option(fields, option, value)
        except ValueError:
            raise wrong(TITLE, f"--{option} is not understood", value) from None
        if not is_sampling:
            left[f"--{option}"] = value
        elif not equals:
            position += 1
    return _with_left(read_fields(fields), left.items())


def _write_line(preset: Preset) -> tuple[str, list[Note]]:
    options, writing = _options_of(preset)
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in options), writing.notes


def _read_ini(text: str, section: str) -> Reading:
    parser = configparser.RawConfigParser(
        strict=False, delimiters=("=",), comment_prefixes=("#", ";"), default_section=""
    )
    try:
        parser.read_string(text if text.lstrip().startswith("[") else f"[*]\n{text}")
    except configparser.Error as error:
        raise wrong(TITLE, f"not an INI file: {error.message.splitlines()[0]}") from None
    named = [name for name in parser.sections() if name != "*"]
    if section or named:
        section = only_section(section, named, TITLE, "section")
    options: dict[str, str] = {}
    for name in ("*", section):
        if name and parser.has_section(name):
            options.update(parser.items(name))
    fields: dict[str, Any] = {}
    left: dict[str, str] = {}
    for option, value in options.items():
        try:
            if not _read_option(fields, option.lstrip("-"), value):
                left[option] = value
        except ValueError:
            raise wrong(TITLE, f"{option} is not understood", value) from None
    return _with_left(read_fields(fields), left.items())


def _write_ini(preset: Preset) -> tuple[str, list[Note]]:
    """An INI file has an option once, on one line; what needs more is lost."""
    options, writing = _options_of(preset)
    for repeated in _REPEATED:
        values = [value for option, value in options if option == repeated]
        if len(values) > 1 or any("\n" in value for value in values):
            options = [pair for pair in options if pair[0] != repeated]
            field = OPTIONS[repeated]
            name = FIELDS[field].preset_field if field in FIELDS else field
            writing.note("lost", name, values, "an INI file has an option once, on one line")
    lines = ["[*]", *(f"{option} = {value}" for option, value in options)]
    return "\n".join(lines), writing.notes


_COMMANDS = ("--", "llama-server", "llama-cli", "./llama-")
FORMATS = (
    Format(
        "llamacpp-ini",
        "llama.cpp preset INI",
        _read_ini,
        _write_ini,
        lambda name, text: name.endswith(".ini") or text.lstrip().startswith("[*]"),
    ),
    Format(
        "llamacpp-args",
        "llama.cpp command line",
        _read_line,
        _write_line,
        lambda name, text: text.lstrip().startswith(_COMMANDS),
    ),
)
