"""LM Studio's presets: `NAME.preset.json`, with a list of keys and values under `operation`.

A number with a checkbox is `{"checked": true, "value": 0.9}`; unchecked, its sampler is off. What a
preset doesn't list has the values of the model that is loaded, which the file doesn't show; so what
is off is written too. LM Studio runs weights in GGUF with llama.cpp, and publishes neither the
order of the samplers nor the window of the penalties: they are taken for llama.cpp's. Source of the
keys: `packages/lms-kv-config/src/schema.ts` of lmstudio-js.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from temperament.interchange.conversions import above_0, as_texts, at_least_0, from_0
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.files import json_object, json_text, looks_like_json
from temperament.interchange.format import (
    UNSUPPORTED,
    CantSayError,
    Format,
    Note,
    Reading,
    Writing,
    wrong,
)
from temperament.interchange.llamacpp import TITLE as LLAMA_CPP
from temperament.interchange.llamacpp import WINDOW
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "LM Studio"
_SCOPE = "llm.prediction."
_MIROSTAT = f"{_SCOPE}llama.mirostatSampling"
_BIASES = f"{_SCOPE}llama.logitBias"
_WINDOW = f"taken for {LLAMA_CPP}'s: the last {WINDOW} tokens, those of the prompt too"
_NO_TFS = f"{LLAMA_CPP}, with which it runs GGUF, has no tail-free sampling any more"
_NOT_A_BOX = 'allowed: {"checked": true, "value": ...}, or "checked": false'
_USUAL = ("top_k", "tfs", "typical_p", "top_p", "min_p", "xtc", "temperature")
# a preset's parameter -> LM Studio's name in `mirostatSampling`
_OF_MIROSTAT = {
    "mirostat": "version",
    "mirostat_eta": "learningRate",
    "mirostat_tau": "targetEntropy",
}
_NOT_SAMPLING = (
    "systemPrompt",
    "promptTemplate",
    "contextPrefill",
    "contextOverflowPolicy",
    "tools",
    "structured",
    "toolCallStopStrings",
    "reasoning.",
    "speculativeDecoding.",
    "logProbs",
    "llama.cpuThreads",
)


def _box(
    name: str, to_preset: Callable[[Any], Any] = lambda value: value, *, remark: str = ""
) -> Field:
    """A number with a checkbox; a model.yaml may have the number alone."""

    def read_box(box: Any) -> Any:
        if not isinstance(box, Mapping):
            return to_preset(box)
        checked, value = box.get("checked"), box.get("value")
        if checked is False:
            return PARAMETERS[name].neutral if name in PARAMETERS else None
        if checked is not True or value is None:
            raise CantSayError(_NOT_A_BOX)
        return to_preset(value)

    return Field(name, read_box, lambda value: {"checked": True, "value": value}, remark)


def _mirostat_is_on(fields: Mapping[str, Any]) -> bool:
    return bool(fields.get(_MIROSTAT, {}).get("version"))


def _order(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return ("temperature", "mirostat") if _mirostat_is_on(fields) else _USUAL


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    numbers = fields.get(_MIROSTAT)
    if isinstance(numbers, Mapping) and numbers.get("version") is not None:
        _read_mirostat(numbers, reading)
    elif numbers is not None:
        reading.note("lost", _MIROSTAT, fields.pop(_MIROSTAT), 'allowed: {"version": ..., ...}')
    if _BIASES in fields:
        _read_biases(fields.pop(_BIASES), reading)


def _read_mirostat(numbers: Mapping[str, Any], reading: Reading) -> None:
    is_on = numbers["version"] != 0
    for ours, theirs in _OF_MIROSTAT.items():
        if numbers.get(theirs) is not None and (is_on or theirs == "version"):
            reading.preset[ours] = numbers[theirs]
    for name in numbers.keys() - _OF_MIROSTAT.values():
        reading.note("lost", f"{_MIROSTAT}.{name}", numbers[name], UNSUPPORTED)


def _read_biases(pairs: Any, reading: Reading) -> None:
    biases: dict[int, Any] = {}
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        match pair:
            case [int() as token, bias] if not isinstance(token, bool):
                if token in biases:
                    earlier = [token, biases[token]]
                    reading.note("lost", _BIASES, earlier, "a later pair has the same token")
                biases[token] = bias
            case _:
                reading.note("lost", _BIASES, pair, 'allowed: [token id, bias or "-inf"]')
    if numbers := {token: bias for token, bias in biases.items() if bias != "-inf"}:
        reading.preset["logit_bias"] = numbers
    if bans := [token for token, bias in biases.items() if bias == "-inf"]:
        reading.preset["suppress_tokens"] = bans


def _after_read(fields: Mapping[str, Any], reading: Reading) -> None:
    if reading.preset.get("repetition_penalty", 1) != 1:
        reading.note("default", "repetition_range", WINDOW, _WINDOW)


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if values.get("mirostat"):
        writing.fields[_MIROSTAT] = {
            theirs: values.pop(ours, PARAMETERS[ours].unset)
            for ours, theirs in _OF_MIROSTAT.items()
        }
    biases = [[token, bias] for token, bias in values.pop("logit_bias", ())]
    biases += [[token, "-inf"] for token in values.pop("suppress_tokens", ())]
    if biases:
        writing.fields[_BIASES] = biases


_FIELDS = {
    "temperature": Field("temperature"),
    "topKSampling": Field("top_k", at_least_0),
    "topPSampling": _box("top_p"),
    "minPSampling": _box("min_p"),
    "repeatPenalty": _box("repetition_penalty"),
    "llama.frequencyPenalty": _box("frequency_penalty", remark=_WINDOW),
    "llama.presencePenalty": _box("presence_penalty", remark=_WINDOW),
    "llama.xtcProbability": _box("xtc_probability"),
    "llama.xtcThreshold": _box("xtc_threshold"),
    "llama.tailFreeSampling": _box("tfs", remark=_NO_TFS),
    "llama.locallyTypicalSampling": _box("typical_p"),
    "maxPredictedTokens": _box("max_tokens", above_0),
    "seed": _box("seed", from_0),
    "stopStrings": Field("stop", as_texts),
}
DIALECT = Dialect(
    title=TITLE,
    fields={f"{_SCOPE}{name}": field for name, field in _FIELDS.items()},
    order=_order,
    defaults={
        "temperature": 0.8,
        "top_k": 40,
        "top_p": 0.95,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
    },
    fixed={
        "repetition_range": WINDOW,
        "xtc_protect_structure": False,
        "xtc_protected": (),
    },
    not_sampling={_MIROSTAT: READ_BY_ORDER},
    before_read=_before_read,
    after_read=_after_read,
    before_write=_before_write,
)


def _read(text: str, section: str) -> Reading:
    content = json_object(text, TITLE)
    try:
        pairs = [(entry["key"], entry["value"]) for entry in content["operation"]["fields"]]
    except (KeyError, TypeError):
        pairs = [(None, None)]
    if not all(isinstance(key, str) for key, _ in pairs):
        allowed = '{"operation": {"fields": [{"key": ..., "value": ...}]}}'
        raise wrong(TITLE, "not a preset", list(content), allowed)
    entries = dict(pairs)
    others = {name: entries.pop(name) for name in [*entries] if not _is_sampling(name)}
    reading = read(DIALECT, entries, defaults=False)
    reading.note("left", "operation", None, "what isn't listed has the loaded model's values")
    for name, value in others.items():
        reading.note("left", name, value, "isn't a sampling parameter")
    last = {name: number for number, (name, _) in enumerate(pairs)}
    for number, (name, value) in enumerate(pairs):
        if number != last[name]:
            reading.note("lost", name, value, "a later entry has the same key")
    load = content.get("load")
    if load.get("fields") if isinstance(load, Mapping) else load:
        reading.note("left", "load", "…", "belongs to the model's loading")
    return reading


def _is_sampling(name: str) -> bool:
    others = tuple(f"{_SCOPE}{name}" for name in _NOT_SAMPLING)
    return name.startswith(_SCOPE) and not name.startswith(others)


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    fields = [{"key": name, "value": value} for name, value in writing.fields.items()]
    content = {
        "identifier": f"@local:{preset.name}",
        "name": preset.name,
        "changed": False,
        "operation": {"fields": fields},
        "load": {"fields": []},
    }
    return json_text(content), writing.notes


def _looks(name: str, text: str) -> bool:
    return looks_like_json(text, "operation") and _SCOPE in text


FORMATS = (Format("lmstudio", "LM Studio preset", _read, _write, _looks, version="lmstudio-js"),)
