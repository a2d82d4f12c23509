"""Sampling presets, samplers and mode switching for stock vLLM and stock Transformers.

The public names are loaded when they are first used: importing the package loads neither torch
nor an engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from temperament.batch.process import Run, process
    from temperament.compiled.prepared import prepare
    from temperament.engines import transformers, vllm
    from temperament.errors import (
        EngineError,
        InputError,
        PresetError,
        RequestError,
        TemperamentError,
    )
    from temperament.presets import Catalogue, Chain, Preset

__version__ = "0.1.0"

_HOME = {
    "Catalogue": "temperament.presets",
    "Chain": "temperament.presets",
    "EngineError": "temperament.errors",
    "InputError": "temperament.errors",
    "Preset": "temperament.presets",
    "PresetError": "temperament.errors",
    "RequestError": "temperament.errors",
    "Run": "temperament.batch.process",
    "TemperamentError": "temperament.errors",
    "prepare": "temperament.compiled.prepared",
    "process": "temperament.batch.process",
}
_MODULES = {"transformers": "temperament.engines.transformers", "vllm": "temperament.engines.vllm"}

__all__ = [
    "Catalogue",
    "Chain",
    "EngineError",
    "InputError",
    "Preset",
    "PresetError",
    "RequestError",
    "Run",
    "TemperamentError",
    "prepare",
    "process",
    "transformers",
    "vllm",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
