"""Lets vLLM's V2 model runner run without a GPU, under Triton's interpreter.

Python imports this in every process that has this folder on its PYTHONPATH. The V2 runner wants
Triton, and vLLM's CPU platform takes Triton only with a `cpu` backend, which no wheel of Triton
brings. An entry with that name is enough, since the interpreter never asks it to compile. And
vLLM's kernel for grammars stores under a condition on a scalar, which the interpreter refuses.
"""

import os
from types import SimpleNamespace
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"
os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "1"

from triton.backends import backends
from triton.runtime.interpreter import InterpreterBuilder

backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))

_store = InterpreterBuilder.create_masked_store


def _with_bits(self: InterpreterBuilder, pointers: Any, value: Any, mask: Any, policy: Any) -> Any:
    mask.data = mask.data.astype(bool)
    return _store(self, pointers, value, mask, policy)


InterpreterBuilder.create_masked_store = _with_bits
