"""How the kernels are launched: on which device, and on which memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.kernels import (
    advance_modes,
    append_tokens,
    extend_matches,
    follow_schedules,
    run_biases,
    run_chain,
)
from temperament.presets import Chain
from tests import rows

OPERATORS = (run_chain, run_biases, extend_matches, append_tokens, follow_schedules, advance_modes)
CHAIN = Chain.of({"repetition_penalty": 1.4, "temperature": 0.7, "top_k": 5, "min_p": 0.01})


def test_a_launch_is_on_the_device_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton launches on the current device, which may not be that of the model."""
    on: list[torch.device] = []
    launched: dict[str, list[torch.device]] = {}

    @contextmanager
    def device_of(tensor: Tensor) -> Iterator[None]:
        on.append(tensor.device)
        yield
        on.pop()

    class Kernel:
        def __init__(self, name: str) -> None:
            self.name = name

        def __getitem__(self, _: Any) -> Callable[..., None]:
            return lambda *_, **__: launched.update({self.name: [*on]})

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    for module in OPERATORS:
        monkeypatch.setattr(module, "kernel", Kernel(module.__name__))
    Rows(1).table.warm_up(100)

    assert {module.__name__: [torch.device("cpu")] for module in OPERATORS} == launched


def result_of(logits: Tensor) -> Tensor:
    """What a chain with a penalty and cuts makes of some logits."""
    batch = Rows(len(logits))
    for row in range(len(logits)):
        batch.write(row, Request(CHAIN), [1, 2, row], [2])
    return batch.run(logits, np.arange(len(logits)))


def test_rows_that_lie_far_apart(tmp_path: Path) -> None:
    """A batch may have more than 2^31 numbers: an offset within it needs 64 bits."""
    stride = 2**30
    logits = torch.randn(3, 40)
    # A file without blocks but those that are written.
    memory = np.memmap(tmp_path / "rows", dtype=np.float32, mode="w+", shape=(3 * stride,))
    apart = torch.from_numpy(memory).as_strided((3, 40), (stride, 1))
    apart.copy_(logits)
    actual = result_of(apart).clone()

    assert rows.same_bits(actual, result_of(logits.clone()))


@pytest.mark.parametrize("drafting", [False, True])
def test_logits_that_lie_in_columns(drafting: bool) -> None:
    """A row's numbers needn't be adjacent, in steps with draft tokens either."""
    logits = torch.randn(3, 40)
    expected = result_of(logits.clone())
    columns = logits.T.contiguous().T
    if drafting:
        batch = Rows(3, drafts=1)
        for row in range(3):
            batch.write(row, Request(CHAIN), [1, 2, row], [2])
        slots = torch.arange(3)
        history = batch.log.history(np.arange(3))
        actual = batch.run_expanded(columns, np.arange(3), slots, torch.zeros(3), history)
    else:
        actual = result_of(columns)

    assert (1, 3) == columns.stride()
    assert rows.same_bits(actual, expected)


def test_a_batch_without_rows() -> None:
    """A step may have none; nothing is launched."""
    assert (0, 40) == result_of(torch.zeros(0, 40)).shape


def test_rows_of_another_vocabulary() -> None:
    """What is kept for each token is built anew, and a state of other rows is refused."""
    chain = Chain.of({"xtc_probability": 1.0, "xtc_threshold": 0.0, "xtc_protect_structure": True})

    def one_row() -> Rows:
        batch = Rows(1, vocabulary=lambda: rows.token_bytes(60))
        batch.write(0, Request(chain))
        return batch

    kept, wide = one_row(), torch.randn(1, 60)
    kept.run(torch.randn(1, 30), np.arange(1))

    assert rows.same_bits(
        kept.run(wide.clone(), np.arange(1)), one_row().run(wide.clone(), np.arange(1))
    )
    kept.write(0, Request(Chain.of({"mirostat": 2})))
    kept.run(torch.randn(1, 30), np.arange(1))
    with pytest.raises(ValueError, match="mirostat: rows of 60 logits after rows of 30"):
        kept.run(wide, np.arange(1))
