"""Runs the kernels under Triton's interpreter, on the CPU."""

from __future__ import annotations

import pytest

from temperament.kernels import run_chain
from tests.kernels import interpreter


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the rows of a test go the way of a GPU's."""
    interpreter.interpret(monkeypatch)


@pytest.fixture(params=[0, 128], ids=["wide blocks", "narrow blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks as they are, and so narrow that rows of some hundred tokens need many, and lists."""
    if request.param:
        monkeypatch.setattr(run_chain, "sizes", lambda _: run_chain.Sizes(request.param, 64, 4))
