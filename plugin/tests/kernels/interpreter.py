"""Triton's interpreter, made fast enough for tests.

It replaces the functions of `triton.language` anew for each function that a kernel calls, which
takes most of its time. Here they are replaced once, for the rest of the process.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import FunctionType, SimpleNamespace

import pytest

from temperament.compiled import prepared

SWITCH = "TRITON_INTERPRET"
OPERATORS = (
    "run_chain",
    "run_biases",
    "extend_matches",
    "append_tokens",
    "follow_schedules",
    "advance_modes",
)


def import_interpreted() -> None:
    """Imports Triton and the kernels such that they can't run but under the interpreter.

    Triton reads its switch when a kernel is defined. It's not left on: processes that a test starts
    would inherit it.
    """
    if find_spec("triton") is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, "1")
        for name in OPERATORS:
            import_module(f"temperament.kernels.{name}")


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the rows of a test go the way of a GPU's. Skips the test where there is no Triton."""
    pytest.importorskip("triton")
    patch_once()
    monkeypatch.setenv(SWITCH, "1")
    monkeypatch.setenv(prepared.SWITCH, "interpret")


@cache
def patch_once() -> None:
    """Replaces the functions for good."""
    import triton.language
    from triton.runtime import interpreter

    def kernel() -> None:
        """Only its globals are read."""

    modules = {"tl": triton.language, "core": triton.language.core}
    interpreter._patch_lang(FunctionType(kernel.__code__, modules))
    done = SimpleNamespace(restore=lambda: None)
    interpreter._patch_lang = lambda _: done
