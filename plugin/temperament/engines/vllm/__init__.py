"""Presets on stock vLLM.

`offline` writes them into `SamplingParams`, `endpoint` reads them from HTTP requests, and
`processor` runs their residual stages in the engine.
"""

from temperament.engines.vllm.offline import sampling_params

__all__ = ["sampling_params"]
