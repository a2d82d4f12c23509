"""How each stage is computed: one file a stage, `apply(logits, ...)` on [rows, vocab] tensors.

An op changes float32 logits in place and returns them. It gets a `Column` (or `Tokens`) for each
parameter of its stage by name, and what the stage needs (`history`). -inf stays -inf, the best
allowed token always stays, and no row's result depends on another row.
"""

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from temperament.stages import STAGES

OPS: dict[str, Callable[..., Tensor]] = {
    stage.name: import_module(f"temperament.ops.{stage.name}").apply for stage in STAGES
}
