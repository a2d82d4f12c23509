"""LiteLLM's proxy: entries of `model_list`, each with `litellm_params`.

OpenAI's parameters are among `litellm_params` themselves, all others under `extra_body`, which
LiteLLM passes to the server unchanged. An entry whose model is `deepseek/...` is for DeepSeek's
API, whose temperatures have a scale of their own: there is a format for each.
"""

from __future__ import annotations

from typing import Any

from temperament.interchange import vllm
from temperament.interchange.conversions import as_texts, biases_as_map
from temperament.interchange.dialect import Dialect, Field, read, write
from temperament.interchange.files import looks_like_yaml, only_section, yaml_map, yaml_text
from temperament.interchange.format import Format, Note, Reading, Writing, wrong
from temperament.presets import Preset
from temperament.presets.temperature_scales import scales

TITLE = "LiteLLM"
VERSION = "1.110.2"
# The parameters of a chat completion that LiteLLM knows.
OPENAI = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "seed",
        "stop",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
    }
)
_CONNECTION = frozenset(
    {
        "model",
        "api_base",
        "api_key",
        "api_version",
        "rpm",
        "tpm",
        "timeout",
        "stream_timeout",
        "max_retries",
        "organization",
        "custom_llm_provider",
        "drop_params",
        "weight",
        "order",
    }
)
MODEL = "hosted_vllm/MODEL"
_DEEPSEEK_PREFIX = "deepseek/"
_OLLAMA_CHAT_PREFIX = "ollama_chat/"
DEEPSEEK_MODEL = f"{_DEEPSEEK_PREFIX}deepseek-chat"
SCALE = "deepseek-api"


def _state_temperature(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    """Puts the temperature on the scale of DeepSeek's API, where no preset states it there."""
    value = preset.values.get("temperature")
    if isinstance(value, float) and preset.generation.get("do_sample") is not False:
        stated: float | None = value
        if preset.temperature_scale != SCALE:
            stated = scales()[SCALE].stated(preset.drawn.values["temperature"])
        if stated is None:
            message = "is above what DeepSeek's API draws at: its scale ends before"
            writing.note("lost", "temperature", value, message)
            values.pop("temperature", None)
        else:
            values["temperature"] = stated


# The fields of a chat completion: api-docs.deepseek.com/api/create-chat-completion.
DEEPSEEK = Dialect(
    title="DeepSeek's API",
    fields={
        **{name: Field(name) for name in ("temperature", "top_p", "max_tokens")},
        **{name: Field(name) for name in ("frequency_penalty", "presence_penalty")},
        "stop": Field("stop", to_preset=as_texts),
    },
    order=("temperature", "top_p"),
    before_write=_state_temperature,
)


def _params(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An entry's `litellm_params`: where the model is, and the others."""
    params_of_entry = entry.get("litellm_params")
    params: dict[str, Any] = dict(params_of_entry) if isinstance(params_of_entry, dict) else {}
    return {name: params.pop(name) for name in list(params) if name in _CONNECTION}, params


def _read(text: str, section: str) -> Reading:
    content = yaml_map(text, TITLE)
    entries = content.get("model_list")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise wrong(TITLE, "no model_list of maps", entries if entries is not None else "")
    names = list(dict.fromkeys(str(entry.get("model_name")) for entry in entries))
    name = only_section(section, names, TITLE, "entry of model_list")
    entry, *others = [each for each in entries if str(each.get("model_name")) == name]
    connection, params = _params(entry)
    model = str(connection.get("model"))
    deepseek = model.startswith(_DEEPSEEK_PREFIX)
    unread = {"frequency_penalty"} if model.startswith(_OLLAMA_CHAT_PREFIX) else set()
    sent = {name: value for name, value in params.items() if name not in unread}
    reading = read(DEEPSEEK if deepseek else vllm.BODY, sent)
    for name in params.keys() & unread:
        message = "LiteLLM sends it to Ollama as repeat_penalty, by which logits are divided"
        reading.note("lost", name, params[name], message)
    if deepseek and "temperature" in reading.preset:
        reading.preset["temperature_scale"] = SCALE
    for number, other in enumerate(others, 2):
        if _params(other)[1] != params:
            message = "LiteLLM takes turns between entries of one name; the first is read"
            reading.note("lost", "model_name", f"{name}, entry {number}", message)
    for name, value in connection.items():
        shown = "…" if name == "api_key" else value
        reading.note("left", name, shown, "says where the model is, not how to sample")
    for name in entry.keys() - {"model_name", "litellm_params"}:
        reading.note("left", name, entry[name], "isn't sampling")
    return reading


def _sections(text: str) -> list[str]:
    entries = yaml_map(text, TITLE).get("model_list")
    maps = [each for each in entries if isinstance(each, dict)] if entries else []
    return list(dict.fromkeys(str(entry.get("model_name")) for entry in maps))


def _write(preset: Preset) -> tuple[str, list[Note]]:
    return _entry(preset, MODEL, write(vllm.BODY, preset))


def _write_deepseek(preset: Preset) -> tuple[str, list[Note]]:
    return _entry(preset, DEEPSEEK_MODEL, write(DEEPSEEK, preset))


def _entry(preset: Preset, model: str, writing: Writing) -> tuple[str, list[Note]]:
    params: dict[str, Any] = {"model": model}
    params |= {name: value for name, value in writing.fields.items() if name in OPENAI}
    if "logit_bias" in params:  # LiteLLM takes texts alone as keys
        params["logit_bias"] = biases_as_map(params["logit_bias"].items())
    body = {name: value for name, value in writing.fields.items() if name not in OPENAI}
    if body:
        params["extra_body"] = body
    entry = {"model_name": preset.name, "litellm_params": params}
    return yaml_text({"model_list": [entry]}), writing.notes


def _looks(name: str, text: str) -> bool:
    return looks_like_yaml(text, "model_list")


FORMATS = (
    Format("litellm", "LiteLLM model_list", _read, _write, _looks, VERSION, sections=_sections),
    Format(
        "litellm-deepseek",
        "LiteLLM model_list, for DeepSeek's API",
        _read,
        _write_deepseek,
        lambda name, text: False,  # a file is recognised as `litellm`, which reads this form too
        version=VERSION,
        takes_scales=True,
    ),
)
