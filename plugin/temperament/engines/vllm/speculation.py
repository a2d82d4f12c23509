"""Speculative decoding: checks that tokens still follow the preset's distribution.

With speculative decoding the V1 runner loads no plugin's logits processor (read in vLLM 0.32.0 and
0.33.0), so presets need the V2 runner. Whether vLLM chooses it depends on its version and on
whether an engine's node has Triton. A server whose engines are all on other nodes can't know that,
and asks them (`probe`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temperament.errors import EngineError, Problem
from temperament.plan import encode, split_preset
from temperament.plan.targets import VLLM
from temperament.plan.wire import KEY
from temperament.presets import Catalogue, as_preset

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.engine.protocol import EngineClient

# How drafts are accepted so that the tokens keep the distribution. vLLM also has `synthetic`, for
# measurements, and in 0.33 `fly`, which accepts drafts that would have been rejected.
EXACT = ("standard", "block")


def refuse(config: VllmConfig) -> None:
    """Raises `EngineError` if presets can't run with these drafts, or on this node's runner."""
    drafts = config.speculative_config
    if drafts is None:
        return
    problems = []
    method = getattr(drafts, "rejection_sample_method", EXACT[0])
    if method not in EXACT:
        problems.append(
            Problem(
                "speculative_config",
                "rejection_sample_method",
                "draws from another distribution than the preset's",
                str(method),
                " or ".join(EXACT),
                reason="unsupported",
            )
        )
    if not (elsewhere(config) or config.use_v2_model_runner):
        problems.append(_on_v1())
    if problems:
        raise EngineError(problems)


def elsewhere(config: VllmConfig) -> bool:
    """Returns whether the engines are on other nodes: this one has none, or no accelerator."""
    from vllm.platforms import current_platform

    serves_alone = config.parallel_config.data_parallel_size_local == 0
    return bool(serves_alone or current_platform.is_unspecified())


async def probe(engine: EngineClient) -> None:
    """Raises `EngineError` if an engine draws a token that a residual chain excludes.

    Each data-parallel engine draws twice, once from a chain that allows token 0 alone and once from
    one that allows token 1 alone: an engine that ignores chains can't draw both.
    """
    from vllm import SamplingParams, TokensPrompt

    parallel = engine.vllm_config.parallel_config
    ranks = [None] if parallel.local_engines_only else range(parallel.data_parallel_size)
    for rank in ranks:
        for token in (0, 1):
            preset = as_preset({"forced_bos_token_id": token}, Catalogue({}))
            chain = encode(split_preset(preset, VLLM, "residual").residual, "probe")
            params = SamplingParams(
                max_tokens=1, ignore_eos=True, extra_args={KEY: chain}, detokenize=False
            )
            answers = engine.generate(
                TokensPrompt(prompt_token_ids=[token]),
                params,
                f"temperament-probe-{rank}-{token}",
                data_parallel_rank=rank,
            )
            drawn = [answer.outputs[0].token_ids async for answer in answers][-1]
            if list(drawn) != [token]:
                raise EngineError(_on_v1())


def _on_v1() -> Problem:
    return Problem(
        "vLLM's V1 runner",
        "speculative_config",
        "loads no plugin's logits processors",
        "on",
        "no speculative decoding, or the V2 runner (VLLM_USE_V2_MODEL_RUNNER=1)",
        reason="unsupported",
    )
