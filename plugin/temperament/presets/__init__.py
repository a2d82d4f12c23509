"""Presets: files and fields of requests become checked values."""

from temperament.presets.catalogue import Catalogue
from temperament.presets.chain import Chain, Step
from temperament.presets.preset import Preset
from temperament.presets.resolve import Presets, as_preset, as_presets

__all__ = ["Catalogue", "Chain", "Preset", "Presets", "Step", "as_preset", "as_presets"]
