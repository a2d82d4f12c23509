"""Sleep mode at level 2, which empties the memory that was allocated while the model was loaded.

vLLM has it on GPUs alone. Here every tensor that is created while the adapter is built stands for
that memory, and is filled with other bytes afterwards.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.engines.runners import MODES, PENALTIES, VOCABULARY, Row, V2Runner
from tests.kernels import interpreter

ROWS = [
    Row(0, PENALTIES, [1, 2], [3], []),
    Row(2, MODES, [1], [5, 6], []),
    Row(4, {"mirostat": 2, "mirostat_tau": 2.0}, [4], [], []),
]


class Pool(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps track of the tensors that are created inside, as a memory pool does."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.created: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operator."""
        result = func(*args, **(kwargs or {}))
        self.created += [weakref.ref(x) for x in tree_leaves(result) if isinstance(x, Tensor)]
        return result

    def empty(self) -> None:
        """Fills what is left of the tensors with arbitrary bytes."""
        gc.collect()
        for tensor in [tensor for created in self.created if (tensor := created()) is not None]:
            tensor.view(-1).view(torch.uint8).fill_(113)


@pytest.fixture(params=["operators", "kernels"])
def logits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """[rows, vocabulary]; the chains run as torch operators, or as Triton kernels."""
    if request.param == "kernels":
        interpreter.interpret(monkeypatch)
    torch.manual_seed(0)
    return torch.randn(len(ROWS), VOCABULARY) * 3


def test_rows_are_the_same_after_a_wake(logits: Tensor) -> None:
    """No step reads what lay in the memory that was emptied, nor does the count of switches."""
    awake = V2Runner(0)
    expected = steps(awake, logits)
    runner, pool = V2Runner(0), Pool()
    with pool:
        runner.start()
    pool.empty()
    actual = steps(runner, logits)

    assert [True] * len(ROWS) == [torch.equal(*pair) for pair in zip(expected, actual, strict=True)]
    assert awake.batch.rows.switches == runner.batch.rows.switches


def steps(runner: V2Runner, logits: Tensor) -> list[Tensor]:
    """The logits after a step of each row alone."""
    done = []
    for number, row in enumerate(ROWS):
        runner.add(row)
        done.append(runner.step([row], logits[number : number + 1].clone()))
    return done
