"""What scripts/gpu compares with: vLLM's own kernel, from its files alone; and its goals."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from scripts.lib import gpu
from scripts.lib.vllm_kernel import load


def test_vllms_kernel_lacks_nothing_but_a_gpu() -> None:
    """It is loaded without what vLLM needs, leaves the modules as they were, and gets to Triton.

    Triton's interpreter can't run it, so that without a GPU the launch is where it ends.
    """
    found = find_spec("vllm")
    if found is None or found.origin is None:
        pytest.skip("the kernel of vLLM is needed")
    before = {name: module for name, module in sys.modules.items() if name.startswith("vllm")}
    apply_top_k_top_p = load(Path(found.origin).parents[1])
    after = {name: module for name, module in sys.modules.items() if name.startswith("vllm")}

    assert before == after
    k, p = torch.tensor([50, 20], dtype=torch.int32), torch.tensor([0.5, 0.95])
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="active drivers"):
            apply_top_k_top_p(torch.randn(2, 300), k, p)
        return
    kept = apply_top_k_top_p(torch.randn(2, 300, device="cuda"), k.cuda(), p.cuda())
    count = (kept > -torch.inf).sum(1)
    assert bool((count <= k.cuda()).all())


def timed(microseconds: float) -> dict[str, float]:
    """What is measured of a call."""
    return {"device_us": microseconds, "host_us": 1.0}


@pytest.mark.parametrize("vllm", [None, 60.0])
def test_the_goals_stand_beside_what_was_measured(vllm: float | None) -> None:
    """Without the copy that every time includes, and beside vLLM's kernel where that was timed."""
    at = {"vocabulary": 151_936, "copy": timed(10.0)}
    ours = {"the first": timed(69.0), "everything": timed(511.0), "min_k": timed(900.0)}
    many = {**at, "batch": 64, "ours": ours} | ({} if vllm is None else {"vllm": timed(vllm)})
    one = {**at, "batch": 1, "ours": {"the first": {"error": "no memory"}}}
    found = gpu.goals([one, many])
    report = {"machine": {}, "checks": {}, "times": [], "goals": found}

    assert ["the first", "everything", "everything", "the first"] == [g["chain"] for g in found]
    assert [59.0, 501.0, 501.0, None] == [goal["us"] for goal in found]
    most = [None, None] if vllm is None else [60.0, 100.0]
    assert [*most, 500.0, 60.0] == [goal["most_us"] for goal in found]
    said = [line.split(" | ")[-1].strip(" |") for line in gpu.table(report).splitlines()[-4:]]
    verdicts = ["", ""] if vllm is None else ["reached", "missed"]
    assert [*verdicts, "missed", ""] == said


def test_a_chain_that_cannot_be_timed_is_a_failure() -> None:
    """A command that ends without an error has checked and timed all of ours."""
    good = {
        "checks": {"stages": {}},
        "times": [{"ours": {"a": timed(1.0)}, "vllm": {"error": "x"}}],
    }

    assert not gpu.failed(good)
    assert gpu.failed({**good, "checks": {"waits": {"error": "it waits"}}})
    assert gpu.failed({**good, "times": [{"ours": {"a": {"error": "no memory"}}}]})
    assert gpu.failed({**good, "times": [{"error": "no memory"}]})
