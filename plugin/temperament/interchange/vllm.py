"""vLLM's three ways of being told: server defaults, a `--config` file, a request's extra body.

Server defaults are eight keys that stock vLLM takes. A request's extra body is read whole by a
server with Temperament; the notes tell what a stock one would ignore.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from temperament.interchange.base import CantSayError, Format, Note, Reading, Writing
from temperament.interchange.dialect import Dialect, Field, movable, read, same_order, write
from temperament.interchange.files import (
    json_object,
    looks_like_json,
    looks_like_yaml,
    yaml_map,
)
from temperament.plan.parameters import BY_FIELD
from temperament.plan.targets import VLLM
from temperament.presets import Preset
from temperament.presets.generation import GENERATION
from temperament.presets.schema import MOVABLE
from temperament.stages import PARAMETERS, STAGE_OF

TITLE = "vLLM"
KEYS = (
    "repetition_penalty", "presence_penalty", "frequency_penalty", "temperature", "top_k", "top_p",
    "min_p",
)  # fmt: skip
_OTHER = "is an option of the server, not sampling"


def _within_limits(name: str) -> Any:
    def check(value: Any) -> Any:
        values = {parameter.name: parameter.unset for parameter in STAGE_OF[name].parameters}
        for limit in VLLM.limits.get(STAGE_OF[name].name, ()):
            if limit.applies({**values, name: value}):
                raise CantSayError(limit.reason)
        return value

    return check


DEFAULTS = Dialect(
    title=TITLE,
    fields={
        **{name: Field(name, to_theirs=_within_limits(name)) for name in KEYS},
        "top_k": Field("top_k", to_ours=lambda value: max(value, 0)),
        "max_new_tokens": Field("max_tokens"),
    },
    order=tuple(name for name in VLLM.order if STAGE_OF[name].movable),
)


def _read_defaults(text: str, section: str) -> Reading:
    return read(DEFAULTS, json_object(text, TITLE))


def _write_defaults(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DEFAULTS, preset)
    return json.dumps(writing.fields), writing.notes


def _read_config(text: str, section: str) -> Reading:
    content = yaml_map(text, TITLE)
    override = content.pop(
        "override-generation-config", content.pop("override_generation_config", {})
    )
    reading = read(
        DEFAULTS, json_object(override, TITLE) if isinstance(override, str) else override or {}
    )
    for name, value in content.items():
        reading.note("left", name, value, _OTHER)
    return reading


def _write_config(preset: Preset) -> tuple[str, list[Note]]:
    made, notes = _write_defaults(preset)
    return yaml.safe_dump({"override-generation-config": made}, sort_keys=False), notes


# What a stock vLLM reads of a request, by its name there.
_STOCK = {
    **dict.fromkeys((*VLLM.fields, "allowed_token_ids")),
    "max_tokens": None,
    "stop": None,
    "seed": None,
    "n": "num_return_sequences",
    "min_tokens": "min_new_tokens",
    "stop_token_ids": "eos_token_id",
}
_PLUGIN = "read by a server with Temperament; a stock vLLM ignores it"


def _one_name(names: Mapping[str, str | None]) -> dict[str, Field]:
    return {name: Field(ours or name) for name, ours in names.items()}


def _tokens(value: Mapping[Any, Any]) -> dict[int, float]:
    return {int(token): float(bias) for token, bias in value.items()}


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    if stages != tuple(stage for stage in MOVABLE if stage in stages):
        writing.fields["order"] = list(stages)


def _after_write(preset: Preset, writing: Writing) -> None:
    fields = writing.fields
    if "stop_token_ids" in fields:
        fields["ignore_eos"] = True
    for name, value in fields.items():
        if name not in _STOCK and name != "ignore_eos":
            writing.note("differs", name, value, _PLUGIN)
    stages, theirs = movable(preset.chain.names), DEFAULTS.sequence({})
    shared = tuple(stage for stage in stages if stage in theirs)
    if "order" not in fields and not same_order(
        shared, tuple(stage for stage in theirs if stage in shared)
    ):
        message = f"a server with Temperament keeps it; a stock vLLM runs {', '.join(theirs)}"
        writing.note("differs", "order", list(stages), message)


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    body = fields.pop("extra_body", None)
    if isinstance(body, Mapping):
        fields.update(body)
    order = fields.pop("order", None)
    if order is not None:
        reading.words["order"] = order
    if fields.get("ignore_eos") is True and "stop_token_ids" in fields:
        del fields["ignore_eos"]


BODY = Dialect(
    title="vLLM's request",
    fields={
        **_one_name(_STOCK),
        **{name: Field(name) for name in (*PARAMETERS, *GENERATION) if BY_FIELD.get(name) is None
           or BY_FIELD[name].server.how in ("native", "ours")},
        "logit_bias": Field("logit_bias", to_ours=_tokens, to_theirs=dict),
        "min_tokens": Field("min_new_tokens"),
        "max_completion_tokens": Field("max_tokens"),
    },
    left={
        **dict.fromkeys(("model", "messages", "prompt", "stream", "user", "tools", "tool_choice"),
                        "is the request's own"),
        **dict.fromkeys(("logprobs", "top_logprobs", "echo", "skip_special_tokens",
                         "spaces_between_special_tokens", "include_stop_str_in_output",
                         "stream_options", "response_format", "structured_outputs"),
                        "says what is returned, not how it is drawn"),
        "preset": "names a preset",
        "ignore_eos": "belongs to a request",
    },
    order=MOVABLE,
    put_order=_put_order,
    before_read=_before_read,
    after_write=_after_write,
)  # fmt: skip


def _read_body(text: str, section: str) -> Reading:
    return read(BODY, json_object(text, TITLE))


def _write_body(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(BODY, preset)
    return json.dumps(writing.fields, indent=2, ensure_ascii=False), writing.notes


OVERRIDE = Format(
    "vllm",
    "vLLM --override-generation-config",
    _read_defaults,
    _write_defaults,
    lambda name, text: False,
)
CONFIG = Format(
    "vllm-config",
    "vLLM --config file",
    _read_config,
    _write_config,
    lambda name, text: (
        looks_like_yaml(text, "override-generation-config")
        or looks_like_yaml(text, "override_generation_config")
    ),
)
EXTRA_BODY = Format(
    "vllm-extra-body",
    "OpenAI extra_body for vLLM",
    _read_body,
    _write_body,
    lambda name, text: looks_like_json(text, "extra_body"),
)
