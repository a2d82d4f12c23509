"""llama.cpp's command line and its preset INI files: options for the server's fields.

llama.cpp reads escapes (`\\n`, `\\x3b`) in the texts of both. A value of an INI file ends at `;` or
`#`, so there the samplers are written as letters, and these two characters as escapes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from temperament.interchange.dialect import write
from temperament.interchange.files import only_section
from temperament.interchange.format import UNSUPPORTED, Format, Note, Reading, Writing, wrong
from temperament.interchange.llamacpp import DIALECT, FIELDS, LETTERS, TITLE, VERSION, read_fields
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
    "LLAMA_ARG_TEMPERATURE": "temp",
    "LLAMA_ARG_TOP_K": "top-k",
    "LLAMA_ARG_TOP_P": "top-p",
    "LLAMA_ARG_MIN_P": "min-p",
    "LLAMA_ARG_REPEAT_PENALTY": "repeat-penalty",
    "LLAMA_ARG_FREQUENCY_PENALTY": "frequency-penalty",
    "LLAMA_ARG_PRESENCE_PENALTY": "presence-penalty",
    "LLAMA_ARG_N_PREDICT": "predict",
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


_BIAS = re.compile(r"\s*(\d+)\s*([+-].*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[nrt'\"\\])")
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _unescaped(text: str) -> str:
    """A text with llama.cpp's escapes replaced; a backslash before any other character stays."""

    def character(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes.fromhex(code[1:].decode()) if code[:1] == b"x" else _ESCAPED.get(code, code)

    return _ESCAPE.sub(character, text.encode()).decode(errors="replace")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _read_bias(value: str) -> list[Any]:
    """A token and its bias, False for a ban: `15-1.5`, `15-inf`. Raises `ValueError`."""
    found = _BIAS.fullmatch(value)
    if found is None:
        raise ValueError
    bias = float(found[2])
    return [found[1], False if bias == float("-inf") else bias]


def _read_option(fields: dict[str, Any], option: str, value: str) -> bool:
    """Adds an option's value to the fields; False if it is no sampling option."""
    option = _ALSO.get(option, option)
    if option == "sampler-seq":
        fields["samplers"] = value
    elif option == "samplers":
        fields["samplers"] = [name for name in value.split(";") if name]
    elif option == "logit-bias":
        fields.setdefault("logit_bias", []).append(_read_bias(value))
    elif option == "dry-sequence-breaker":
        breakers = fields.setdefault("dry_sequence_breakers", [])
        if value != "none":
            breakers.append(_unescaped(value))
    elif option == "reverse-prompt":
        fields.setdefault("stop", []).append(_unescaped(value))
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
            options += [
                (option, f"{token}-inf" if bias is False else f"{token}{bias:+}")
                for token, bias in value
            ]
        elif isinstance(value, list):
            options += [(option, _escaped(item)) for item in value]
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
        if not _OPTION.match(argument):
            continue
        spelt, equals, value = argument.partition("=")
        option = spelt.lstrip("-")
        if spelt.startswith("--"):  # llama.cpp takes `--top_k` too
            option = option.replace("_", "-")
        follows = position < len(arguments) and not equals
        if follows:
            value = arguments[position]
        try:
            is_sampling = _read_option(fields, option, value)
        except ValueError:
            raise wrong(TITLE, f"--{option} is not understood", value) from None
        if is_sampling:
            position += not equals
        elif follows and _OPTION.match(value):
            left[spelt] = ""
        else:
            left[spelt] = value
    return _with_left(read_fields(fields), left.items())


_OPTION = re.compile(r"--?[A-Za-z]")


def _write_line(preset: Preset) -> tuple[str, list[Note]]:
    options, writing = _options_of(preset)
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in options), writing.notes


# llama.cpp's grammar of an INI file: what follows `;` or `#` in a line is a comment.
_HEADER = re.compile(r"\[[ \t]*([^\]]*?)[ \t]*\][ \t]*(?:[;#].*)?")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*(.*?)[ \t]*(?:[;#].*)?")
_NOTHING = re.compile(r"[ \t]*(?:[;#].*)?")
_FIRST = "default"  # the section of what stands before the first header


def _sections(text: str) -> dict[str, dict[str, str]]:
    """The options of each section. Raises `PresetError`."""
    sections: dict[str, dict[str, str]] = {}
    name = _FIRST
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if header := _HEADER.fullmatch(line):
            name = header[1]
            sections[name] = {}
        elif pair := _KEY.fullmatch(line):
            sections.setdefault(name, {})[pair[1]] = pair[2]
        elif not _NOTHING.fullmatch(line):
            raise wrong(TITLE, f"not an INI file: line {number}", line, "[section] or key = value")
    return sections


def _read_ini(text: str, section: str) -> Reading:
    sections = _sections(text)
    options = _by_option(sections.pop("*", {}))
    if section or sections:
        options |= _by_option(sections[only_section(section, [*sections], TITLE, "section")])
    unread = options.pop("sampler-seq", "") if "samplers" in options else ""
    fields: dict[str, Any] = {}
    left: dict[str, str] = {}
    for option, value in options.items():
        try:
            if not _read_option(fields, option, value):
                left[option] = value
        except ValueError:
            raise wrong(TITLE, f"{option} is not understood", value) from None
    reading = _with_left(read_fields(fields), left.items())
    if unread:
        reading.note("left", "sampler-seq", unread, f"{TITLE} reads samplers after it")
    return reading


def _by_option(keys: Mapping[str, str]) -> dict[str, str]:
    """A section's values by option. llama.cpp reads the keys by name, so the last name wins."""
    return {_ALSO.get(key, key): value for key, value in sorted(keys.items())}


def _write_ini(preset: Preset) -> tuple[str, list[Note]]:
    """An INI file has an option once; what needs it more often is lost."""
    options, writing = _options_of(preset)
    for repeated in _REPEATED:
        values = [value for option, value in options if option == repeated]
        if len(values) > 1:
            options = [pair for pair in options if pair[0] != repeated]
            for name, value in _written_as(repeated, preset, values):
                writing.note("lost", name, value, "an INI file has an option once")
    return "\n".join(["[*]", *(_ini_line(*pair) for pair in options)]), writing.notes


def _written_as(option: str, preset: Preset, values: list[str]) -> list[tuple[str, Any]]:
    """(name, value) of each parameter of the preset that is written by this option."""
    if option == "logit-bias":
        names = ("logit_bias", "suppress_tokens")
        return [(name, preset.values[name]) for name in names if preset.values.get(name)]
    field = OPTIONS[option]
    return [(FIELDS[field].preset_field if field in FIELDS else field, values)]


_LETTER_OF = {name: letter for letter, name in LETTERS.items()}


def _ini_line(option: str, value: str) -> str:
    if option == "samplers":
        return f"sampler-seq = {''.join(_LETTER_OF[name] for name in value.split(';'))}"
    edges = {0, len(value) - 1}
    text = "".join(
        f"\\x{ord(char):02x}" if char in ";#" or (place in edges and char in " \t") else char
        for place, char in enumerate(value)
    )
    return f"{option} = {text}"


_COMMAND = re.compile(r"(?:[^\s'\"]*/)?llama-[a-z]+(?:\.exe)?\s|--?[A-Za-z]")
FORMATS = (
    Format(
        "llamacpp-ini",
        "llama.cpp preset INI",
        _read_ini,
        _write_ini,
        lambda name, text: name.endswith(".ini") or text.lstrip().startswith("[*]"),
        version=VERSION,
        sections=lambda text: [name for name in _sections(text) if name != "*"],
    ),
    Format(
        "llamacpp-args",
        "llama.cpp command line",
        _read_line,
        _write_line,
        lambda name, text: _COMMAND.match(text.lstrip()) is not None,
        version=VERSION,
    ),
)
