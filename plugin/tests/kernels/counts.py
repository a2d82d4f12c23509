"""Counts what a step costs a GPU, without one: launches, and passes over the logits.

    python -m tests.kernels.counts [ROWS]

A launch is an operator on the device that isn't a view or an allocation; each of the package's
operators is one launch. They are counted on meta tensors, [64, 151,936] logits with 2,048 tokens of
history. A pass is one reading or writing of all logits; the bytes of the package's kernels are
counted from their loads and stores under Triton's interpreter, for rows of two kinds: peaked and
flat.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from temperament.batch.request import request_of
from temperament.batch.rows import Rows
from temperament.ops.history import History
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, as_preset

ROWS, VOCABULARY, LENGTH = 64, 151_936, 2048
EVERYTHING: dict[str, Any] = {
    "repetition_penalty": 1.1,
    "dry_multiplier": 0.8,
    "dry_sequence_breakers": [],
    "temperature": 1.2,
    "top_k": 100,
    "top_p": 0.95,
    "min_p": 0.02,
    "typical_p": 0.95,
    "xtc_probability": 0.5,
    "xtc_protect_structure": False,
    "adaptive_target": 0.5,
}
CHAINS: dict[str, dict[str, Any]] = {
    "temperature, top_k 50, top_p .95, min_p .05": {
        "temperature": 1.3,
        "top_k": 50,
        "top_p": 0.95,
        "min_p": 0.05,
    },
    "temperature, top_p .95": {"temperature": 1.3, "top_p": 0.95},
    "typical_p .9": {"typical_p": 0.9},
    "top_n_sigma 1": {"top_n_sigma": 1.0},
    "min_p, xtc": {"min_p": 0.05, "xtc_probability": 0.5, "xtc_protect_structure": False},
    "repetition, frequency and presence penalty": {
        "repetition_penalty": 1.1,
        "frequency_penalty": 0.3,
        "presence_penalty": 0.3,
    },
    "dry": {"dry_multiplier": 0.8, "dry_sequence_breakers": []},
    "mirostat 2": {"mirostat": 2},
    "top_k 50, reproducible": {"reproducible": True, "top_k": 50},
    "everything": EVERYTHING,
    "tfs .95": {"tfs": 0.95},
    "min_k": {"min_k": True},
    "skew .2": {"skew": 0.2},
}
SOME = {"top_k": 50, "min_p": 0.05, "typical_p": 0.9, "top_n_sigma": 1.0, "repetition_penalty": 1.1}


def same_stages(number: int) -> dict[str, Any]:
    """The preset of a number: all have the same stages, with values of their own."""
    return {"temperature": 0.5 + number / 200, "top_k": 20 + number, "top_p": 0.9}


def other_stages(number: int) -> dict[str, Any]:
    """The preset of a number below 32: each has some of the same stages."""
    chosen = [name for place, name in enumerate(SOME) if number >> place & 1]
    return {"temperature": 0.5 + number / 200, **{name: SOME[name] for name in chosen}}


def with_modes(number: int) -> dict[str, Any]:
    """The preset of a number: its modes wait for a text of its own."""
    return {
        "modes": {"text": {"temperature": 0.5 + number / 200}, "code": {"temperature": 0.1}},
        "switch": [
            {"from": "text", "on": {"text": ["```", f"<m{number}>"]}, "to": "code"},
            {"from": "code", "on": {"text": "```"}, "to": "back"},
        ],
    }


PRESETS = {
    "the same stages": same_stages,
    "other stages": other_stages,
    "modes of their own": with_modes,
}
# Operators that launch nothing on a device.
FREE = (
    "view", "expand", "slice", "select.int", "unsqueeze", "squeeze", "as_strided", "empty",
    "new_empty", "scalar_tensor", "lift_fresh", "detach", "t.default", "permute", "transpose",
    "_unsafe_view", "reshape", "alias", "split", "unbind",
)  # fmt: skip


class Cost(NamedTuple):
    """What a step costs."""

    launches: int
    # over all logits, the mean of the rows
    passes: float


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the launches, and the bytes of torch's operators on tensors that are large."""

    def __init__(self, is_large: Callable[[Tensor], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_large = is_large
        self.names: list[str] = []
        # the launches that read the host's memory
        self.uploads: list[str] = []
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = str(func).removeprefix("aten.")
        result = func(*args, **(kwargs or {}))
        tensors = [part for part in (*args, result) if isinstance(part, Tensor)]
        if not name.startswith(FREE) and any(tensor.is_meta for tensor in tensors):
            self.names.append(name)
            # A tensor of one number is an argument of a launch, unless it's copied.
            if any(not t.is_meta and (t.dim() or "copy" in name) for t in tensors):
                self.uploads.append(name)
            if not name.startswith("temperament"):
                large = filter(self.is_large, tensors)
                self.bytes += sum(t.numel() * t.element_size() for t in large)
        return result


@contextmanager
def on_meta() -> Iterator[None]:
    """Lets meta tensors stand for a GPU's: they know neither pinned memory nor copies in turn."""
    to, copy, zeros = Tensor.to, Tensor.copy_, torch.zeros

    def blocking_to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("non_blocking", None)
        return to(self, *args, **kwargs)

    def blocking_copy(self: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        if source.is_meta and not self.is_meta:  # to the host: nothing to copy, but a launch
            source.clone()
            return self
        return copy(self, source)

    def pageable_zeros(*size: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("pin_memory", None)
        return zeros(*size, **kwargs)

    with (
        patch.object(Tensor, "to", blocking_to),
        patch.object(Tensor, "copy_", blocking_copy),
        patch.object(torch, "zeros", pageable_zeros),
    ):
        yield


def launches(values: dict[str, Any]) -> Launches:
    """Counts the second step of a batch in which every row has these values."""
    return launches_of([values])


def launches_of(presets: Sequence[dict[str, Any]]) -> Launches:
    """Counts the second step of a batch whose rows have these values in turn."""
    with on_meta():
        rows = Rows(ROWS, "meta", lambda: TokenBytes(tuple(bytes([byte]) for byte in range(256))))
        for row in range(ROWS):
            rows.write(row, _request(presets[row % len(presets)]))
            rows.read(row, (), (), LENGTH)  # its tokens so far are a prompt
        numbers = [torch.zeros(ROWS, dtype=torch.int64, device="meta") for _ in range(3)]
        tokens = torch.zeros(ROWS, LENGTH, dtype=torch.int64, device="meta")
        logits = torch.empty(ROWS, VOCABULARY, device="meta")
        for step in range(2):
            history = History(tokens, *numbers)
            counted = Launches(lambda tensor: tensor.numel() >= ROWS * VOCABULARY // 2)
            with counted:
                rows.run(logits, np.arange(ROWS), history, np.full(ROWS, LENGTH + step))
    return counted


@contextmanager
def _bytes() -> Iterator[list[int]]:
    """Counts the bytes that kernels load and store under the interpreter."""
    from triton.runtime.interpreter import InterpreterBuilder

    moved = [0]
    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def counted_load(self: Any, pointers: Any, mask: Any, *others: Any) -> Any:
        result = load(self, pointers, mask, *others)
        moved[0] += int(mask.data.sum()) * result.data.itemsize
        return result

    def counted_store(self: Any, pointers: Any, value: Any, mask: Any, *others: Any) -> Any:
        moved[0] += int(mask.data.sum()) * value.data.itemsize
        return store(self, pointers, value, mask, *others)

    with (
        patch.object(InterpreterBuilder, "create_masked_load", counted_load),
        patch.object(InterpreterBuilder, "create_masked_store", counted_store),
    ):
        yield moved


def some_logits(count: int) -> Tensor:
    """[count, vocabulary]: rows whose nucleus is some tokens, and flat rows, in turn."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([3.0, 1.0])[torch.arange(count) % 2]
    return torch.randn(count, VOCABULARY, generator=generator) * scale[:, None]


def passes(values: dict[str, Any], count: int = 2) -> float:
    """Counts a step of some rows under the interpreter, as passes over their logits."""
    from temperament.kernels import run_chain

    rows = Rows(count)
    for row in range(count):
        rows.write(row, _request(values))
    tokens = torch.randint(1000, (count, LENGTH), generator=torch.Generator().manual_seed(1))
    ends = [torch.full((count,), position) for position in (0, LENGTH // 2, LENGTH)]
    logits = some_logits(count)
    narrow = run_chain.sizes(VOCABULARY)
    # The interpreter's time follows the number of blocks. The bytes hardly depend on their size: a
    # loop that ends early, as tfs's does, reads its last block to the end.
    wide = narrow._replace(block=8 * narrow.block)
    with patch.object(run_chain, "sizes", lambda _: wide), _bytes() as moved:
        rows.run(logits, np.arange(count), History(tokens, *ends), np.full(count, LENGTH))
    return moved[0] / (logits.numel() * logits.element_size())


def operators(values: dict[str, Any]) -> Cost:
    """Counts a step with the kernels turned off; a sort counts as one launch, and is many."""
    counted = launches(values)
    return Cost(len(counted.names), counted.bytes / (ROWS * VOCABULARY * 4))


def cost(values: dict[str, Any], count: int = 2) -> Cost:
    """Returns what a step of a chain with these values costs."""
    counted = launches(values)
    elsewhere = counted.bytes / (ROWS * VOCABULARY * 4)
    return Cost(len(counted.names), elsewhere + passes(values, count))


def _request(values: dict[str, Any]) -> Any:
    return request_of(as_preset(values, Catalogue({})))


def main() -> None:
    """Prints the table."""
    from tests.kernels.interpreter import patch_once

    patch_once()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print("| chain | launches | passes |\n|---|---|---|")
    for name, values in CHAINS.items():
        found = cost(values, count)
        print(f"| {name} | {found.launches} | {found.passes:.1f} |", flush=True)


if __name__ == "__main__":
    os.environ |= {"TRITON_INTERPRET": "1", "TEMPERAMENT_KERNELS": "interpret"}
    main()
