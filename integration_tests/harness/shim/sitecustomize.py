"""Lets vLLM's V2 model runner run without a GPU, under Triton's interpreter.

Python imports this in every process that has this folder on its PYTHONPATH. The V2 runner wants
Triton, and vLLM's CPU platform takes Triton only with a `cpu` backend, which no wheel of Triton
brings. An entry with that name is enough, since the interpreter never asks it to compile.
"""

import os
from types import SimpleNamespace

os.environ["TRITON_INTERPRET"] = "1"
os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "1"

from triton.backends import backends

backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))
