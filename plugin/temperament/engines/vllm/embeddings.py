"""Prompts that come as embeddings (`--enable-prompt-embeds`), of which vLLM knows no tokens.

A server's answer warns of each. Offline a request's parameters don't show its prompt, so the engine
says at its start what such prompts mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm.logger import init_logger

from temperament.plan.unseen import READ_THE_PROMPT

if TYPE_CHECKING:
    from vllm.config import VllmConfig

logger = init_logger("vllm.temperament")


def report(config: VllmConfig) -> None:
    """Says in the log what can't see a prompt that comes as embeddings, if requests may have one.

    On the V2 runner such a prompt consists of tokens with id 0.
    """
    if config.model_config.enable_prompt_embeds:
        logger.warning(
            "temperament: %s and `start: auto` can't see a prompt that comes as embeddings%s.",
            ", ".join(sorted(READ_THE_PROMPT)),
            ": they take it for tokens with id 0" if config.use_v2_model_runner else "",
        )
