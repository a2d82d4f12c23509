"""LiteLLM's proxy: entries of `model_list`, each with `litellm_params`.

OpenAI's parameters are among `litellm_params` themselves, all others under `extra_body`, which
LiteLLM passes to the server unchanged.
"""

from __future__ import annotations

from typing import Any

from temperament.interchange import vllm
from temperament.interchange.base import Format, Note, Reading, wrong
from temperament.interchange.dialect import read, write
from temperament.interchange.files import looks_like_yaml, only_section, yaml_map, yaml_text
from temperament.presets import Preset

TITLE = "LiteLLM"
# The parameters of a chat completion that LiteLLM knows.
OPENAI = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "seed", "stop",
     "frequency_penalty", "presence_penalty", "logit_bias"}
)  # fmt: skip
_CONNECTION = frozenset(
    {"model", "api_base", "api_key", "api_version", "rpm", "tpm", "timeout", "stream_timeout",
     "max_retries", "organization", "custom_llm_provider", "drop_params", "weight", "order"}
)  # fmt: skip
MODEL = "hosted_vllm/MODEL"


def _read(text: str, section: str) -> Reading:
    content = yaml_map(text, TITLE)
    entries = content.get("model_list")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise wrong(TITLE, "no model_list of maps", entries if entries is not None else "")
    named = {str(entry.get("model_name")): entry for entry in entries}
    entry = named[only_section(section, list(named), TITLE, "entry of model_list")]
    litellm_params = entry.get("litellm_params")
    params: dict[str, Any] = dict(litellm_params) if isinstance(litellm_params, dict) else {}
    connection = {name: params.pop(name) for name in list(params) if name in _CONNECTION}
    reading = read(vllm.BODY, params)
    for name, value in connection.items():
        shown = "…" if name == "api_key" else value
        reading.note("left", name, shown, "says where the model is, not how to sample")
    for name in entry.keys() - {"model_name", "litellm_params"}:
        reading.note("left", name, entry[name], "isn't sampling")
    return reading


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(vllm.BODY, preset)
    params: dict[str, Any] = {"model": MODEL}
    params |= {name: value for name, value in writing.fields.items() if name in OPENAI}
    body = {name: value for name, value in writing.fields.items() if name not in OPENAI}
    if body:
        params["extra_body"] = body
    entry = {"model_name": preset.name, "litellm_params": params}
    return yaml_text({"model_list": [entry]}), writing.notes


FORMATS = (
    Format(
        "litellm",
        "LiteLLM model_list",
        _read,
        _write,
        lambda name, text: looks_like_yaml(text, "model_list"),
    ),
)
