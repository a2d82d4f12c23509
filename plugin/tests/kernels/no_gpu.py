"""Launches kernels for a GPU that isn't there: Triton compiles what it would, and runs nothing.

For processes of their own, since Triton's interpreter can't be left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch

from temperament.batch.rows import Rows

NAMES = {
    "run_chain": "chain",
    "run_biases": "biases",
    "extend_matches": "matches",
    "append_tokens": "tokens",
    "follow_schedules": "schedules",
    "advance_modes": "modes",
}


def target_of(name: str) -> Any:
    """Returns Triton's target for `sm_90`, `gfx942`, ..."""
    from triton.backends.compiler import GPUTarget

    if name.startswith("gfx"):
        return GPUTarget("hip", name, 64)
    return GPUTarget("cuda", int(name.removeprefix("sm_")), 32)


class _Driver:
    """What Triton asks of a GPU's driver before it compiles."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def get_current_device(self) -> Any:
        # Triton keeps what it compiled by device.
        return self._target

    def get_current_stream(self, device: Any) -> int:
        return 0

    def get_current_target(self) -> Any:
        return self._target


@contextmanager
def _standing_in(target: str) -> Iterator[None]:
    """Lets CPU tensors go a GPU's way, with Triton's driver replaced."""
    from triton.runtime.driver import driver

    with (
        patch.dict("os.environ", {"TEMPERAMENT_KERNELS": "interpret"}),
        patch.object(driver, "_active", _Driver(target_of(target))),
    ):
        yield


@contextmanager
def compiling(target: str, done: Callable[[str, Any], None]) -> Iterator[None]:
    """Launches compile for a target; `done` gets a kernel's name and the compiled kernel."""
    from triton.runtime.jit import JITFunction

    run: Any = JITFunction.run
    known = set()

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = run(self, *args, grid=grid, warmup=True, **options)
        if kernel.hash not in known:
            known.add(kernel.hash)
            done(NAMES[self.fn.__name__], kernel)

    with _standing_in(target), patch.object(JITFunction, "run", compile_only):
        yield


@contextmanager
def noting(target: str, seen: set[tuple[str, str]]) -> Iterator[None]:
    """Launches do nothing, but note what Triton would compile: (kernel, its variant)."""
    from triton.runtime.jit import JITFunction

    run: Any = JITFunction.run

    def note(self: Any, key: Any, *_: Any) -> None:
        seen.add((NAMES[self.fn.__name__], str(key)))

    def launch(self: Any, *args: Any, **options: Any) -> None:
        run(self, *args, **options)
        if self.fn.__name__ == "advance_modes":  # the host reads the modes, which nothing wrote
            for found in args[-3:-1]:
                found.zero_()

    with (
        _standing_in(target),
        patch.object(JITFunction, "_do_compile", note),
        patch.object(JITFunction, "run", launch),
    ):
        yield


def start(vocabulary: int) -> None:
    """Launches what the start of a server launches."""
    Rows(1, torch.device("cpu")).table.warm_up(vocabulary)
