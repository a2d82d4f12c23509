"""The served model's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temperament.plan.vocabulary import TokenBytes

if TYPE_CHECKING:
    from vllm.config import VllmConfig


def token_bytes(vllm_config: VllmConfig) -> TokenBytes:
    """Returns the bytes of the served model's tokens, one entry for each logit."""
    from vllm.tokenizers import cached_tokenizer_from_config

    model_config = vllm_config.model_config
    tokenizer = cached_tokenizer_from_config(model_config)
    return TokenBytes.of(tokenizer, model_config.get_vocab_size())
