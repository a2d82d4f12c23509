"""The shipped presets, and any other, bound to a model by its name."""

from __future__ import annotations

from typing import Any

from temperament import Catalogue
from temperament.presets import Preset, as_preset

SHIPPED = Catalogue.load(environment=False)


def preset_for(model: str, **values: Any) -> Preset:
    """The preset of `values`, bound to the model of that name."""
    return as_preset(values, SHIPPED.for_model(model))
