"""What scripts/gpu compares with: vLLM's own kernel, from its files alone."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
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
