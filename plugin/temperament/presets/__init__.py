"""Text to `Preset`: files and words in, checked values out."""

from temperament.presets.catalogue import Catalogue, Presets, as_preset, as_presets
from temperament.presets.chain import Chain, Step
from temperament.presets.preset import Preset

__all__ = ["Catalogue", "Chain", "Preset", "Presets", "Step", "as_preset", "as_presets"]
