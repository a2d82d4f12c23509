"""Measures the host's part of a step in vLLM's V2 runner, with the kernels replaced by nothing.

It is the processor's time of the thread: on a machine that does nothing else, the time that passes.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

PRESETS, ROWS = 8, 64
# Small, so that what torch computes on the CPU takes no longer than a launch on a GPU.
VOCABULARY, LENGTH = 64, 32
GOAL = 150.0  # microseconds


def run_host(quick: bool) -> dict[str, float]:
    """Returns the microseconds of a step: the median, and the first and last tenth."""
    from tests.kernels.counts import CHAINS

    presets = list(CHAINS.values())[:PRESETS]
    with ExitStack() as stack:
        environment = {"TRITON_INTERPRET": "1", "TEMPERAMENT_KERNELS": "interpret"}
        stack.enter_context(patch.dict(os.environ, environment))
        batch, context, logits = _prepared(presets, stack)
        times = []
        for _ in range(20 if quick else 2000):
            context.seq_lens_upper_bound_np += 1
            context.pos += 1
            begin = time.thread_time()
            batch.flush()
            batch.apply(logits, context)
            times.append((time.thread_time() - begin) * 1e6)
            if context.seq_lens_upper_bound_np[0] == LENGTH:
                context.seq_lens_upper_bound_np -= LENGTH // 2
                context.pos -= LENGTH // 2
                batch.apply(logits, context)  # another text: its suffix matches are found anew
    tenths = statistics.quantiles(times, n=10)
    load = os.getloadavg()[0]
    return {"median": tenths[4], "first": tenths[0], "last": tenths[8], "load": load}


def host_table(found: dict[str, float]) -> str:
    """Markdown: the microseconds of a step."""
    return (
        f"{ROWS} rows of {PRESETS} presets: {found['median']:.0f} us of host time a step "
        f"(a tenth below {found['first']:.0f}, a tenth above {found['last']:.0f}; "
        f"goal {GOAL:.0f}), at a load of {found['load']:.1f}"
    )


def _prepared(presets: list[dict[str, Any]], stack: ExitStack) -> tuple[Any, Any, Any]:
    """Returns (the adapter's rows, a step's context, its logits) of a batch that decodes."""
    from temperament.engines.vllm import v2
    from temperament.engines.vllm.meter import Meter
    from temperament.kernels import append_tokens, extend_matches, run_biases, run_chain
    from temperament.plan.vocabulary import TokenBytes
    from tests.engines.runners import engine_config, sampling_params

    def nothing(*_: Any) -> None:
        """Launches nothing."""

    def extended(lengths: Any, *_: Any) -> Any:
        return lengths

    stack.enter_context(patch.object(run_chain, "run_chain", nothing))
    stack.enter_context(patch.object(run_biases, "run_biases", nothing))
    stack.enter_context(patch.object(extend_matches, "extend_matches", extended))
    stack.enter_context(patch.object(append_tokens, "append_tokens", nothing))
    middle = LENGTH // 2
    prompts = torch.full((ROWS,), 4, dtype=torch.int32)
    states = SimpleNamespace(
        device=torch.device("cpu"),
        max_num_reqs=ROWS,
        vocab_size=VOCABULARY,
        all_token_ids=SimpleNamespace(gpu=torch.zeros(ROWS, LENGTH, dtype=torch.int32)),
        prompt_len=SimpleNamespace(gpu=prompts, np=prompts.numpy()),
        prefill_len=SimpleNamespace(np=np.full(ROWS, 4, dtype=np.int32)),
        total_len=SimpleNamespace(gpu=prompts.clone()),
    )
    texts = TokenBytes(tuple(bytes([65 + token]) for token in range(VOCABULARY)))
    stack.enter_context(patch.object(v2, "token_bytes", lambda _: texts))
    batch = v2.V2Batch(engine_config(speculative_config=None), states, Meter())
    for slot in range(ROWS):
        batch.add(slot, sampling_params(presets[slot % len(presets)], seed=slot))
    slots = np.arange(ROWS, dtype=np.int32)
    context = SimpleNamespace(
        expanded_idx_mapping=torch.from_numpy(slots),
        idx_mapping=torch.from_numpy(slots),
        idx_mapping_np=slots,
        expanded_local_pos=torch.zeros(ROWS, dtype=torch.int32),
        input_ids=torch.zeros(ROWS, dtype=torch.int32),
        pos=torch.full((ROWS,), middle - 1),
        seq_lens_upper_bound_np=np.full(ROWS, middle, dtype=np.int32),
    )
    return batch, context, torch.randn(ROWS, VOCABULARY)
