"""Stands in for pydantic on a machine without it: imports succeed, and nothing is checked.

`scripts/gpu` runs on bare machines without a network. It builds its presets without pydantic, but
modules that it imports define models.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Anything:
    """Takes every argument, decorates by leaving as it is, and is the base of models."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Ignores its arguments."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Ignores a model's settings."""

    def __class_getitem__(cls, _: Any) -> type[_Anything]:
        return cls

    def __or__(self, _: Any) -> _Anything:
        return self

    __ror__ = __or__

    def __call__(self, decorated: Any, *_: Any, **__: Any) -> Any:
        return decorated


class _Unchecked(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception if name.endswith("Error") else _Anything,), {})


def do_without_pydantic() -> None:
    """Puts the stand-in in pydantic's place if it isn't installed."""
    if find_spec("pydantic") is None:
        for name in ("pydantic", "pydantic_core"):
            sys.modules[name] = _Unchecked(name)
