"""Text to `Preset`: files and words in, checked values out."""

from temperament.presets.catalogue import Catalogue, as_preset
from temperament.presets.chain import Chain, Step
from temperament.presets.preset import Preset

__all__ = ["Catalogue", "Chain", "Preset", "Step", "as_preset"]
