"""Ollama's Modelfile: its `PARAMETER` lines.

A missing parameter has Ollama's default. Ollama runs the penalties, which look at the last 64
tokens where the file sets no window, then top_k, temperature, top_p and min_p.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from temperament.interchange.base import Format, Note, Reading, wrong
from temperament.interchange.conversions import above_0, at_least_0, from_0
from temperament.interchange.dialect import Dialect, Field, read, write
from temperament.interchange.llamacpp import PENALTY_FIELDS, add_window, penalties_off
from temperament.presets import Preset

TITLE = "Ollama"
_OLDER = "only older versions of Ollama run it, whose engine was llama.cpp"
_SETUP = (
    "num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa", "low_vram",
    "f16_kv", "vocab_only", "use_mmap", "use_mlock", "penalize_newline", "draft_num_predict",
)  # fmt: skip
DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_k": Field("top_k", at_least_0),
        "top_p": Field("top_p"),
        "min_p": Field("min_p"),
        "typical_p": Field("typical_p", remark=_OLDER),
        "tfs_z": Field("tfs", remark=_OLDER),
        **PENALTY_FIELDS,
        "mirostat": Field("mirostat", remark=_OLDER),
        "seed": Field("seed", from_0),
        "num_predict": Field("max_tokens", above_0),
        "stop": Field("stop"),
    },
    order=("top_k", "temperature", "tfs", "typical_p", "top_p", "min_p", "mirostat"),
    defaults={
        "temperature": 0.8,
        "top_k": 40,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
    },
    not_sampling=dict.fromkeys(_SETUP, "sets up the engine, not sampling"),
    before_read=penalties_off,
    before_write=add_window,
)
_LINE = re.compile(r"\s*PARAMETER\s+(\S+)\s+(.*)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def _lines(text: str) -> Iterator[str]:
    """Logical lines: a text in triple quotes may span several lines of the file."""
    open_line = ""
    for line in text.splitlines():
        joined = f"{open_line}\n{line}" if open_line else line
        if joined.count('"""') % 2:
            open_line = joined
        else:
            open_line = ""
            yield joined
    if open_line:
        yield open_line


def _value(text: str) -> Any:
    text = text.strip()
    if text.startswith('"""') and text.endswith('"""') and len(text) >= 6:
        return text[3:-3]
    if text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            return text.strip('"')
    if _NUMBER.fullmatch(text):
        number = float(text)
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else number
    return {"true": True, "false": False}.get(text.lower(), text)


def _read(text: str, section: str) -> Reading:
    fields: dict[str, Any] = {}
    others = []
    for line in _lines(text):
        found = _LINE.match(line)
        if found is None:
            word = line.split(maxsplit=1)
            if word and not word[0].startswith("#"):
                others.append(word[0].upper())
            continue
        name, value = found[1].lower(), _value(found[2])
        if name == "stop":
            fields.setdefault("stop", []).append(str(value))
        else:
            fields[name] = value
    if not fields and not others:
        raise wrong(TITLE, "no PARAMETER line")
    reading = read(DIALECT, fields)
    for instruction in dict.fromkeys(others):
        reading.note("left", instruction, "…", "isn't a sampling parameter")
    return reading


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    lines = []
    for name, value in writing.fields.items():
        for item in value if isinstance(value, list) else [value]:
            lines.append(f"PARAMETER {name} {_written(item)}")
    return "\n".join(lines), writing.notes


def _written(value: Any) -> str:
    if not isinstance(value, str):
        return str(value)
    return f'"""{value}"""' if "\n" in value else json.dumps(value, ensure_ascii=False)


FORMATS = (
    Format(
        "ollama",
        "Ollama Modelfile",
        _read,
        _write,
        lambda name, text: (
            name.lower().startswith("modelfile")
            or any(_LINE.match(line) for line in text.splitlines())
        ),
    ),
)
