"""LiteLLM's model_list: files, what they are read as, and what is written."""

from __future__ import annotations

from typing import Any

import pytest

from temperament import Catalogue
from temperament.interchange import export
from temperament.interchange.litellm import SCALE
from temperament.presets import as_preset
from temperament.presets.resolve import OnePreset
from tests.interchange.files import File, Wrong, file_tests, refusal_test

SHIPPED = Catalogue.load(environment=False)

FILES = [
    File(
        "litellm",
        "config.yaml",
        "model_list:\n- model_name: creative\n  litellm_params:\n    model: hosted_vllm/qwen\n"
        "    api_base: http://127.0.0.1:8000/v1\n    api_key: os.environ/KEY\n"
        "    temperature: 1.2\n"
        "    extra_body: {min_p: 0.05, dry_multiplier: 0.8}\n"
        "- model_name: other\n  litellm_params: {model: x}\n",
        {"dry_multiplier": 0.8, "temperature": 1.2, "min_p": 0.05},
        {("left", "model"), ("left", "api_base"), ("left", "api_key")},
        "creative",
    ),
    File(
        "litellm",
        "config.yaml",
        "model_list:\n- model_name: local\n  litellm_params:\n    model: ollama_chat/qwen\n"
        "    temperature: 0.7\n    frequency_penalty: 0.5\n",
        {"temperature": 0.7},
        {("left", "model"), ("lost", "frequency_penalty")},
    ),
    File(
        "litellm-deepseek",
        "config.yaml",
        "model_list:\n- model_name: chat\n  litellm_params:\n    model: deepseek/deepseek-chat\n"
        "    temperature: 1.3\n    max_tokens: 9\n    top_k: 5\n",
        {"temperature": 1.3, "temperature_scale": SCALE, "max_tokens": 9},
        {("left", "model"), ("lost", "top_k")},
        recognised=False,
    ),
]  # fmt: skip
WRONG = [
    Wrong("litellm", "a: 1", "no model_list"),
    Wrong("litellm", "model_list: [{model_name: a}, {model_name: b}]", "which entry"),
]

test_reading, test_recognition = file_tests(FILES)
test_refusal = refusal_test(WRONG)


@pytest.mark.parametrize(
    ("preset", "on_weights", "on_api"),
    [
        ("chat", 0.6, 1.3),
        ("creative", 0.8, 1.5),
        ("data", 0.3, 1.0),
        ("code", 0.0, 0.0),
        ({"extends": "chat", "temperature_scale": "weights"}, 1.3, 2.0),
        ({"temperature": 0.6}, 0.6, 1.3),
        ({"temperature": 1.7, "temperature_scale": SCALE}, 1.0, 1.7),
        ({"temperature": 1.4}, 1.4, None),
        ({"top_p": 0.9}, None, None),
    ],
)
def test_temperatures(preset: OnePreset, on_weights: float | None, on_api: float | None) -> None:
    """An entry for weights has the drawn number, one for DeepSeek's API has DeepSeek's."""
    found: list[Any] = []
    for name in ("litellm", "litellm-deepseek"):
        text, _ = export(as_preset(preset, SHIPPED), name)
        lines = dict(line.strip().split(": ") for line in text.splitlines() if ": " in line)
        found.append(None if "temperature" not in lines else float(lines["temperature"]))

    assert [on_weights, on_api] == found


def test_biases_have_texts_as_keys() -> None:
    """A bias's token is a text, since the proxy of LiteLLM 1.110.2 fails at a number."""
    text, _ = export(as_preset({"logit_bias": {260: 2.5}}, Catalogue({})), "litellm")

    assert "logit_bias:\n      '260': 2.5" in text
