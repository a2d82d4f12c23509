"""What ops do on a device, tested on the CPU: no branch on data, and no data read back."""

from __future__ import annotations

import dataclasses
import pkgutil
from importlib import import_module
from typing import Any

import pytest
from torch import Tensor

from temperament import ops


def without_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every op take the way of a device, where it may not branch on data."""
    for info in pkgutil.iter_modules(ops.__path__):
        module = import_module(f"temperament.ops.{info.name}")
        if hasattr(module, "branches"):
            monkeypatch.setattr(module, "branches", lambda tensor: False)


def on_meta(value: Any) -> Any:
    """Returns a copy of a value whose tensors have no data: reading data from them raises."""
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, dict):
        return {name: on_meta(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        parts = map(on_meta, value)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return type(value)(*(on_meta(getattr(value, field.name)) for field in fields))
    return value
