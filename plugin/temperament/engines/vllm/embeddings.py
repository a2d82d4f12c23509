"""Prompts that come as embeddings (`--enable-prompt-embeds`), of which vLLM knows no tokens.

A server's answer warns of each. Offline a request's parameters don't show its prompt, so the engine
says in its log which stages of a request can't see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from vllm.logger import init_logger

from temperament.plan import decode
from temperament.plan.unseen import blind_to_embeddings
from temperament.plan.wire import KEY
from temperament.presets import Catalogue, as_preset

if TYPE_CHECKING:
    from vllm import SamplingParams

READS_PROMPT = "repetition_penalty"  # vLLM's only stage that reads the prompt

logger = init_logger("vllm.temperament")


def blind(params: SamplingParams) -> Iterator[str]:
    """Yields a line for each kind of stage that reads the prompt: in the chain, and vLLM's own."""
    text = (params.extra_args or {}).get(KEY)
    if isinstance(text, str):
        preset = decode(text)
        if line := blind_to_embeddings(preset):
            yield f"{preset.name}: {line}"
    if (value := params.repetition_penalty) != 1:
        yield blind_to_embeddings(as_preset({READS_PROMPT: value}, Catalogue({})))


def report(params: SamplingParams) -> None:
    """Logs which stages of a request read a prompt that they can't see; equal lines once."""
    for line in blind(params):
        _log(line)


@lru_cache(maxsize=256)
def _log(line: str) -> None:
    logger.warning("temperament: %s.", line)
