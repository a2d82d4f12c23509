"""Presets for `model.generate` of stock Transformers.

::

    kwargs = temperament.transformers.generate_kwargs(["code", "chat"], tokenizer, model=model)
    model.generate(**inputs, **kwargs)

`processor` runs the stages of the presets, `arguments` turns everything else that they set into
arguments of `generate`, and `traced_generation` also returns the mode of each token.
"""

from temperament.engines.transformers.arguments import generate_kwargs
from temperament.engines.transformers.processor import PresetLogitsProcessor

__all__ = ["PresetLogitsProcessor", "generate_kwargs"]
