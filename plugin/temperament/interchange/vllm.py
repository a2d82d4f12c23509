"""vLLM: the defaults of a server, a `--config` file with them, and the extra body of a request.

The defaults are eight fields that vLLM takes without the plugin. A server with the plugin reads
every field of a request's extra body; the notes name those that vLLM alone would ignore.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.interchange.conversions import at_least_0, biases_of
from temperament.interchange.dialect import Dialect, Field, movable, read, same_order
from temperament.interchange.files import (
    json_format,
    json_object,
    looks_like_json,
    yaml_map,
    yaml_text,
)
from temperament.interchange.format import CantSayError, Format, Note, Reading, Writing
from temperament.plan.targets import VLLM, VLLM_SERVER
from temperament.presets import Preset, source
from temperament.presets.fields import MOVABLE
from temperament.presets.generation_fields import GENERATION
from temperament.stages import PARAMETERS, STAGE_OF

TITLE = "vLLM"
VERSION = "0.32.0"
KEYS = (
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
)
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
        **{name: Field(name, to_program=_within_limits(name)) for name in KEYS},
        "top_k": Field("top_k", to_preset=at_least_0),
        "max_new_tokens": Field("max_tokens"),
    },
    order=tuple(name for name in VLLM.order if STAGE_OF[name].movable),
)


_CONFIG_KEYS = ("override-generation-config", "override_generation_config")


def _read_config(text: str, section: str) -> Reading:
    content = yaml_map(text, TITLE)
    override: Any = {}
    for key in reversed(_CONFIG_KEYS):
        override = content.pop(key, override)
    fields = json_object(override, TITLE) if isinstance(override, str) else dict(override or {})
    for key in [key for key in content if key.partition(".")[0] in _CONFIG_KEYS]:
        fields[key.partition(".")[2]] = content.pop(key)  # vLLM joins a.b: 1 to {"a": {"b": 1}}
    reading = read(DEFAULTS, fields)
    for name, value in content.items():
        reading.note("left", name, value, _OTHER)
    return reading


def _looks_like_config(name: str, text: str) -> bool:
    if text.lstrip().startswith(("{", "[")):
        return False
    content = source.parse(text.encode(), "", aliases=True).data
    keys = content if isinstance(content, dict) else ()
    return any(str(key).partition(".")[0] in _CONFIG_KEYS for key in keys)


def _write_config(preset: Preset) -> tuple[str, list[Note]]:
    text, notes = _OVERRIDE.write(preset)
    return yaml_text({_CONFIG_KEYS[0]: text}), notes


# Fields of a request that vLLM reads without the plugin; a name in a preset where that differs.
_VLLMS = {
    **dict.fromkeys((*VLLM.fields, "allowed_token_ids")),
    **{its: name for name, its in VLLM.spellings.items()},
    "min_tokens": "min_new_tokens",
}
_PLUGIN = "only a server with Temperament reads it; vLLM alone ignores it"


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    if stages != tuple(stage for stage in MOVABLE if stage in stages):
        writing.fields["order"] = list(stages)


def _after_write(preset: Preset, writing: Writing) -> None:
    fields = writing.fields
    if "stop_token_ids" in fields:
        fields["ignore_eos"] = True
    for name, value in fields.items():
        if name not in _VLLMS and name != "ignore_eos":
            writing.note("differs", name, value, _PLUGIN)
    stages, theirs = movable(preset.chain.names), DEFAULTS.sequence({})
    shared = tuple(stage for stage in stages if stage in theirs)
    if "order" not in fields and not same_order(
        shared, tuple(stage for stage in theirs if stage in shared)
    ):
        message = f"a server with Temperament keeps it; vLLM alone runs {', '.join(theirs)}"
        writing.note("differs", "order", list(stages), message)


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    body = fields.pop("extra_body", None)
    if isinstance(body, Mapping):
        fields.update(body)
    order = fields.pop("order", None)
    if order is not None:
        reading.preset["order"] = order
    if fields.get("ignore_eos") is True and "stop_token_ids" in fields:
        del fields["ignore_eos"]


BODY = Dialect(
    title="vLLM's request",
    fields={
        **{its: Field(name or its) for its, name in _VLLMS.items()},
        **{
            name: Field(name)
            for name in (*PARAMETERS, *GENERATION)
            if VLLM_SERVER.route(name).how in ("native", "residual")
        },
        "logit_bias": Field("logit_bias", to_preset=biases_of, to_program=dict),
        "min_tokens": Field("min_new_tokens"),
        "max_completion_tokens": Field("max_tokens"),
    },
    not_sampling={
        **dict.fromkeys(
            ("model", "messages", "prompt", "stream", "user", "tools", "tool_choice"),
            "belongs to the request",
        ),
        **dict.fromkeys(
            (
                "logprobs",
                "top_logprobs",
                "echo",
                "skip_special_tokens",
                "spaces_between_special_tokens",
                "include_stop_str_in_output",
                "stream_options",
                "response_format",
                "structured_outputs",
            ),
            "selects what is returned, not how to sample",
        ),
        "preset": "names a preset",
        "ignore_eos": "belongs to the request",
    },
    order=MOVABLE,
    put_order=_put_order,
    before_read=_before_read,
    after_write=_after_write,
)
_OVERRIDE = json_format(
    "vllm",
    "vLLM --override-generation-config",
    DEFAULTS,
    lambda name, text: False,  # it is an option's value, never a file
    version=VERSION,
    indent=None,
)
FORMATS = (
    Format(
        "vllm-config",
        "vLLM --config file",
        _read_config,
        _write_config,
        _looks_like_config,
        version=VERSION,
    ),
    json_format(
        "vllm-extra-body",
        "OpenAI extra_body for vLLM",
        BODY,
        lambda name, text: looks_like_json(text, "extra_body"),
        version=VERSION,
    ),
    _OVERRIDE,
)
