"""Speculative decoding: a start that couldn't sample by presets ends, whichever node decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from temperament.engines.vllm import speculation
from temperament.errors import EngineError
from temperament.plan import decode
from temperament.plan.wire import KEY


def config(*, v2: bool, method: str | None = "standard", local: int = 1) -> Any:
    """The parts of vLLM's configuration that are read; `method` None is without drafts.

    A stand-in: only vLLM 0.33 knows `fly`, and no vLLM without an accelerator runs drafts on V2.
    """
    drafts = None if method is None else SimpleNamespace(rejection_sample_method=method)
    parallel = SimpleNamespace(
        data_parallel_size_local=local, data_parallel_size=2, local_engines_only=False
    )
    return SimpleNamespace(
        speculative_config=drafts, use_v2_model_runner=v2, parallel_config=parallel
    )


class Engines:
    """Two engines, of which some run chains; the others draw the token 7."""

    def __init__(self, *run: bool) -> None:
        self.run = run
        self.vllm_config = config(v2=False)

    async def generate(
        self, prompt: Any, params: Any, request_id: str, *, data_parallel_rank: int
    ) -> AsyncIterator[Any]:
        """Yields the answer of one engine."""
        [chain] = decode(params.extra_args[KEY]).chains.values()
        forced = chain.values["forced_bos_token_id"]
        token = forced if self.run[data_parallel_rank] else 7
        yield SimpleNamespace(outputs=[SimpleNamespace(token_ids=[token])])


@pytest.mark.parametrize(
    ("v2", "method"), [(True, "standard"), (True, "block"), (True, None), (False, None)]
)
def test_starts_that_sample_by_presets(v2: bool, method: str | None) -> None:
    """The V2 runner loads us beside drafts, V1 without them."""
    speculation.refuse(config(v2=v2, method=method))


def test_a_version_without_the_choice() -> None:
    """A configuration that doesn't say how drafts are accepted counts as vLLM's own way."""
    chosen = config(v2=True)
    del chosen.speculative_config.rejection_sample_method

    speculation.refuse(chosen)


@pytest.mark.parametrize("method", ["fly", "synthetic", "another"])
def test_lossy_drafts(method: str) -> None:
    """Drafts that are accepted though they weren't drawn end the start, and so does V1: both are
    reported at once.
    """
    with pytest.raises(EngineError) as caught:
        speculation.refuse(config(v2=False, method=method))

    lossy, runner = caught.value.problems
    assert (
        "speculative_config: rejection_sample_method: draws from another distribution than the"
        f" preset's; given: {method}; allowed: standard or block"
    ) == str(lossy)
    assert "VLLM_USE_V2_MODEL_RUNNER=1" in str(runner)


@pytest.mark.parametrize("v2", [True, False])
def test_a_node_that_only_serves_the_api(v2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner that this node would have doesn't count, without engines or an accelerator."""
    from vllm.platforms import current_platform

    speculation.refuse(config(v2=v2, local=0))
    monkeypatch.setattr(type(current_platform), "is_unspecified", lambda self: True)
    speculation.refuse(config(v2=v2))

    assert speculation.elsewhere(config(v2=v2))


@pytest.mark.parametrize("run", [(True, True), (True, False), (False, True)])
def test_the_probe(run: tuple[bool, bool]) -> None:
    """Every engine must draw the tokens that residual chains leave it."""
    probing = speculation.probe(Engines(*run))
    if all(run):
        asyncio.run(probing)
        return
    with pytest.raises(EngineError, match="loads no plugin's logits processors"):
        asyncio.run(probing)
