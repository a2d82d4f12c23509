"""The model types by which `configs/models` knows a `config.json` are those that engines know."""

from __future__ import annotations

import pytest
import yaml
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from temperament.presets.markers import configs

TYPES = sorted(
    {
        entry["model_type"]
        for file in (configs() / "models").iterdir()
        for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("config", ())
    }
)


@pytest.mark.parametrize("name", TYPES)
def test_an_engine_knows_the_type(name: str) -> None:
    """Transformers knows the model type, or vLLM does where Transformers lacks the model."""
    from vllm.transformers_utils.config import _CONFIG_REGISTRY

    assert name in CONFIG_MAPPING or name in _CONFIG_REGISTRY
