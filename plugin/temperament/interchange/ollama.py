"""Ollama's Modelfile: its `PARAMETER` lines.

Since version 0.30 Ollama runs its models in llama.cpp's server and names no `samplers`, so the
stages run in that server's order. `FROM` a model takes over that model's own PARAMETERs, which the
file doesn't show; `FROM` a file of weights has Ollama's defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from temperament.errors import PresetError
from temperament.interchange.conversions import above_0, at_least_0, from_0
from temperament.interchange.dialect import Dialect, Field, read, write
from temperament.interchange.format import Format, Note, Reading, wrong
from temperament.interchange.llamacpp import PENALTY_FIELDS, add_window, penalties_off
from temperament.presets import Preset

TITLE = "Ollama"
_IGNORED = "Ollama has no mirostat: it warns of the parameter and ignores it"
_SETUP = (
    "num_ctx",
    "num_keep",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "numa",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mmap",
    "use_mlock",
    "penalize_newline",
    "draft_num_predict",
)
# What Ollama samples with where neither the file nor the model that it begins from says otherwise.
DEFAULTS = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
}


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    penalties_off(fields, reading, TITLE)


DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_k": Field("top_k", at_least_0),
        "top_p": Field("top_p"),
        "min_p": Field("min_p"),
        "typical_p": Field("typical_p"),
        **{name: f for name, f in PENALTY_FIELDS.items() if not name.startswith("mirostat")},
        "seed": Field("seed", from_0),
        "num_predict": Field("max_tokens", above_0),
        "stop": Field("stop"),
    },
    order=("top_k", "typical_p", "top_p", "min_p", "temperature"),
    defaults=DEFAULTS,
    unsupported={"mirostat": 0, "mirostat_tau": None, "mirostat_eta": None, "tfs_z": 1},
    reasons={
        **dict.fromkeys(("mirostat", "mirostat_tau", "mirostat_eta"), _IGNORED),
        "tfs_z": "Ollama has no tail-free sampling any more, and refuses the parameter",
    },
    not_sampling=dict.fromkeys(_SETUP, "sets up the engine, not sampling"),
    before_read=_before_read,
    before_write=add_window,
)
_INSTRUCTIONS = (
    "FROM",
    "LICENSE",
    "TEMPLATE",
    "SYSTEM",
    "ADAPTER",
    "DRAFT",
    "RENDERER",
    "PARSER",
    "PARAMETER",
    "MESSAGE",
    "REQUIRES",
)
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_WORD = re.compile(r"([A-Za-z]+)[ \t]+")
_NAME = re.compile(r"([A-Za-z0-9_]+)[ \t]+")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_WEIGHTS = re.compile(r"[./~\\]|[A-Za-z]:|.*\.(?:gguf|ggml|bin|safetensors)$", re.DOTALL)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, its argument), where that of `PARAMETER` is its name, a space and its value.

    As Ollama reads them: a value goes on over the next lines until its quotes are closed, nothing
    in it is an escape, and characters that can't be printed are left out. Raises `PresetError`.
    """
    position = 0
    while True:
        position = _end(_SPACE, text, position)
        if position == len(text):
            return
        line = f"line {text.count(chr(10), 0, position) + 1}"
        found = _WORD.match(text, position)
        if found is None or found[1].upper() not in _INSTRUCTIONS:
            rest = re.split(r"[\r\n]", text[position:], maxsplit=1)[0]
            raise wrong(TITLE, f"{line} isn't an instruction", rest, ", ".join(_INSTRUCTIONS))
        instruction, position, name = found[1].upper(), found.end(), ""
        if instruction == "PARAMETER":
            named = _NAME.match(text, position)
            if named is None:
                raise wrong(TITLE, f"{line}: PARAMETER needs a name and a value")
            name, position = f"{named[1]} ", named.end()
        value, position = _value(text, position, line)
        yield instruction, name + value


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _value(text: str, position: int, line: str) -> tuple[str, int]:
    """The value at a position, without its quotes, and where it ends."""
    end = position
    while end < len(text):
        end = next((i for i in range(end + 1, len(text)) if text[i] in "\r\n"), len(text))
        value = _unquoted(_printed(text[position:end]).strip(" \t\r\n"))
        if value is not None:
            return value, end
    if position < len(text):
        raise wrong(TITLE, f"{line}: its quotes aren't closed")
    return "", end


def _printed(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char in " \t\r\n")


def _unquoted(text: str) -> str | None:
    """A text without its quotes; None if they aren't closed."""
    for quotes in ('"""', '"'):
        if text.startswith(quotes):
            closed = len(text) >= 2 * len(quotes) and text.endswith(quotes)
            return text[len(quotes) : -len(quotes)] if closed else None
    return text


def _number(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _read(text: str, section: str) -> Reading:
    fields: dict[str, Any] = {}
    others: dict[str, str] = {}
    for instruction, argument in _instructions(text):
        name, _, value = argument.partition(" ")
        name = name.lower()
        if instruction != "PARAMETER":
            others[instruction] = argument
        elif name == "stop":
            fields.setdefault("stop", []).append(value)
        else:
            fields[name] = _number(value)
    if not fields and not others:
        raise wrong(TITLE, "no PARAMETER line")
    model = others.pop("FROM", "")
    known = bool(_WEIGHTS.match(model))
    reading = read(DIALECT, fields, defaults=known)
    if model or fields:
        begin = f"{model!r} may set" if model else "the model that it is added to may set"
        message = "a file of weights" if known else f"{begin} PARAMETERs of its own, unknown here"
        reading.note("left", "FROM", model or None, message)
    for other in others:
        reading.note("left", other, "…", "isn't a sampling parameter")
    return reading


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    lines = []
    for name, value in writing.fields.items():
        for item in value if isinstance(value, list) else [value]:
            line = _line(name, item)
            if line:
                lines.append(line)
            else:
                message = "Ollama has no escapes, and its quotes can't hold this text"
                writing.note("lost", DIALECT.fields[name].preset_field, item, message)
    return "\n".join(lines), writing.notes


def _line(name: str, value: Any) -> str:
    """A line that is read back as the value; empty if there is none."""
    forms = ('"{}"', '"""{}"""', "{}") if isinstance(value, str) else ("{}",)
    for form in forms:
        line = f"PARAMETER {name} {form.format(value)}"
        try:
            if list(_instructions(line)) == [("PARAMETER", f"{name} {value}")]:
                return line
        except PresetError:
            pass
    return ""


def _looks(name: str, text: str) -> bool:
    if name.lower().startswith("modelfile") or name.lower().endswith(".modelfile"):
        return True
    try:
        return any(word in ("FROM", "PARAMETER") for word, _ in _instructions(text))
    except PresetError:
        return False


FORMATS = (Format("ollama", "Ollama Modelfile", _read, _write, _looks, version="0.33.0-rc2"),)
