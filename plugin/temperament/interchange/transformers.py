"""Transformers' `generation_config.json`.

A field that a preset also has means the same in both. Transformers samples only if
`do_sample` is true, has a top_k of 50 where the file sets none, and runs top_h before top_k.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.interchange.dialect import Dialect, Field
from temperament.interchange.files import json_format, json_object, looks_like_json
from temperament.interchange.format import CantSayError, Reading, Writing
from temperament.plan.documented import BY_NAME as DOCUMENTED
from temperament.plan.targets import TRANSFORMERS
from temperament.presets import Preset
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF

TOP_K = 50
TITLE = "Transformers"
VERSION = "5.19.0"
_OF_THE_MODEL = "belongs to the model, not to a preset"
_SHARED = [
    name
    for stage in sorted(TRANSFORMERS.has)
    for name in (parameter.name for parameter in BY_NAME[stage].parameters)
    if name in {*DOCUMENTED, "top_h"}
]
# Transformers refuses the value that is neutral here; null turns them off.
_NULL_IS_OFF = ("top_h", "forced_bos_token_id")


def _above_zero(value: Any) -> Any:
    if value == 0:
        raise CantSayError("Transformers is greedy with do_sample: false")
    return value


def _field(name: str) -> Field:
    neutral = PARAMETERS[name].neutral
    if name in _NULL_IS_OFF:
        return Field(name, to_program=lambda value: None if value == neutral else value)
    return Field(name)


_FIELDS = {
    **{name: _field(name) for name in _SHARED},
    "temperature": Field("temperature", to_program=_above_zero),
    **{
        name: Field(parameter.field)
        for name, parameter in DOCUMENTED.items()
        if TRANSFORMERS.route(parameter.field).how == "native" and name != "generation_kwargs"
    },
}


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    penalty = fields.pop("exponential_decay_length_penalty", None)
    if isinstance(penalty, (list, tuple)) and len(penalty) == 2:
        reading.preset["exponential_decay_start"] = penalty[0]
        reading.preset["exponential_decay_length_penalty"] = penalty[1]
    elif penalty is not None:
        reading.note("lost", "exponential_decay_length_penalty", penalty, "not a pair")
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"):
        if name in fields:
            reading.note("left", name, fields.pop(name), _OF_THE_MODEL)
    if isinstance(fields.get("forced_eos_token_id"), int):
        fields["forced_eos_token_id"] = [fields["forced_eos_token_id"]]


def _after_read(fields: Mapping[str, Any], reading: Reading) -> None:
    preset = reading.preset
    sampling = [name for name in preset if name in PARAMETERS and STAGE_OF[name].movable]
    if not fields.get("do_sample"):
        if "do_sample" not in fields:
            preset["do_sample"] = False
            message = "not in the file: Transformers doesn't sample (vLLM does, with the same file)"
            reading.note("default", "do_sample", False, message)
        for name in sampling:
            message = "Transformers ignores it without do_sample: true"
            reading.note("lost", name, preset.pop(name), message)
        return
    if "top_k" not in preset:
        preset["top_k"] = TOP_K
        reading.note("default", "top_k", TOP_K, "not in the file: Transformers' default")
    preset.pop("do_sample", None)


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    start = values.pop("exponential_decay_start", 0)
    factor = values.pop("exponential_decay_length_penalty", 1.0)
    if factor != 1.0:
        writing.fields["exponential_decay_length_penalty"] = [start, factor]
    if preset.chain.values.get("temperature") != 0:
        writing.fields["do_sample"] = True
        return
    writing.fields["do_sample"] = False
    values.pop("temperature")
    for name in [name for name in values if STAGE_OF[name].movable]:
        value = values.pop(name)
        if value != PARAMETERS[name].unset:
            writing.note("lost", name, value, "Transformers doesn't run it when it is greedy")


def _after_write(preset: Preset, writing: Writing) -> None:
    if writing.fields["do_sample"]:
        writing.fields.setdefault("top_k", 0)


DIALECT = Dialect(
    title=TITLE,
    fields=_FIELDS,
    order=(
        "temperature",
        "top_h",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "epsilon_cutoff",
        "eta_cutoff",
    ),
    not_sampling=dict.fromkeys(
        ("_from_model_config", "transformers_version", "_commit_hash", "_original_object_hash"),
        "says where the file comes from",
    ),
    before_read=_before_read,
    after_read=_after_read,
    before_write=_before_write,
    after_write=_after_write,
)
_MARKERS = ("do_sample", "bos_token_id", "eos_token_id", "pad_token_id")


def _looks(name: str, text: str) -> bool:
    if name.endswith("generation_config.json") or looks_like_json(text, "transformers_version"):
        return True
    # other programs' files have some of the names too
    if not any(looks_like_json(text, key) for key in _MARKERS):
        return False
    return json_object(text, TITLE).keys() <= {*_FIELDS, *DIALECT.not_sampling, *DOCUMENTED}


FORMATS = (
    json_format(
        "transformers",
        "Transformers generation_config.json",
        DIALECT,
        _looks,
        version=VERSION,
    ),
)
