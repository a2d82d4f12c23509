"""Batch-sharded sampling: each tensor-parallel rank draws the tokens of some requests only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.config import VllmConfig


def shards_batches(vllm_config: VllmConfig) -> bool:
    """Returns whether the ranks share a batch. vLLM 0.31 doesn't know of it."""
    return bool(getattr(vllm_config.parallel_config, "enable_batch_sharded_sampling", False))
