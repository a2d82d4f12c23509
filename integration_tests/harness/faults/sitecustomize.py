"""Puts an error into a stage, in every process that has this folder on its PYTHONPATH.

`TEMPERAMENT_TEST_FAULT` names the stage. Its op then writes NaN into the logits and raises.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import Any

_MODULE = "temperament.ops"


class _Finder(MetaPathFinder):
    """Changes the table of ops once it has been created."""

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> Any:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        assert spec is not None and spec.loader is not None
        run = spec.loader.exec_module

        def load(module: Any) -> None:
            run(module)
            module.OPS[os.environ["TEMPERAMENT_TEST_FAULT"]] = _broken

        spec.loader.exec_module = load  # type: ignore[method-assign]
        return spec


def _broken(logits: Any, **_arguments: Any) -> Any:
    logits.fill_(float("nan"))
    raise ZeroDivisionError("put in by the test")


if "TEMPERAMENT_TEST_FAULT" in os.environ:
    sys.meta_path.insert(0, _Finder())
