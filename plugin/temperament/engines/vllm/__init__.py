"""Presets on stock vLLM: offline here, in the engine in `processor`, over HTTP in `endpoint`."""

from temperament.engines.vllm.offline import sampling_params

__all__ = ["sampling_params"]
