"""A catalogue for the tests of requests."""

import pytest

from temperament import Catalogue
from temperament.presets import Preset, as_preset
from temperament.server.admission import Admission


def serves(name: str) -> bool:
    """Whether the tests' server has a model. One name has a colon, as LoRA names may."""
    return name in ("m", "m:8b")


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Returns the shipped presets, and some with all kinds of fields."""
    shipped = Catalogue.load(environment=False)
    more: dict[str, dict[str, object]] = {
        "fields": {"max_tokens": 7, "stop": ["END", "。"], "seed": 3, "temperature": 0.5},
        "cuts": {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.1},
        "neutral": {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0},
        "bias": {"logit_bias": {5: 150}},
        "turned": {"order": ["top_p", "temperature"], "top_p": 0.5},
    }
    parsed = {name: named(name, values, shipped) for name, values in more.items()}
    return Catalogue({**shipped, **parsed}, shipped.aliases)


def named(name: str, values: dict[str, object], catalogue: Catalogue) -> Preset:
    """Returns a preset of these values under a name."""
    preset = as_preset(values, catalogue)
    return Preset(name, preset.values, preset.order, preset.generation)


@pytest.fixture
def admission(catalogue: Catalogue) -> Admission:
    """Returns a server without a default preset, on which vLLM is slow at nothing."""
    return Admission(catalogue, serves=serves, vocabulary=100)
