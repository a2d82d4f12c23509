"""Presets for `model.generate` of stock Transformers.

::

    kwargs = temperament.transformers.generate_kwargs(["code", "chat"], tokenizer, model=model)
    model.generate(**inputs, **kwargs)

    attached = temperament.transformers.attach(manager, tokenizer)  # continuous batching
    manager.add_request(ids, preset="creative")

`logits_processor` runs the stages of the presets, `arguments` turns everything else that they set
into arguments of `generate`, and `traced_generation` also returns the mode of each token.
`batching` does the same for each request of a manager of continuous batching.
`serve` has the `generate` with which `transformers serve` takes a preset for each request.
"""

from temperament.engines.transformers.arguments import generate_kwargs
from temperament.engines.transformers.batching import Attached, attach, generate_batch
from temperament.engines.transformers.logits_processor import PresetLogitsProcessor

__all__ = ["Attached", "PresetLogitsProcessor", "attach", "generate_batch", "generate_kwargs"]
