"""Counts what a step with draft tokens costs a GPU, without one, beside a step without them.

    python -m tests.kernels.draft_counts

The whole step of vLLM's V2 adapter on meta tensors: 64 requests with 2,048 tokens, each with
three draft tokens or none, in their third step. The bytes are those of the tensors that have a
number for each token of the history, read or written by torch's operators.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from temperament.engines.vllm import v2
from temperament.engines.vllm.meter import Meter
from tests import rows
from tests.engines.runners import engine_config, sampling_params
from tests.kernels.counts import Launches, on_meta

REQUESTS, VOCABULARY, LENGTH, DRAFTS = 64, 1000, 2048, 3
CHAINS: dict[str, dict[str, Any]] = {
    "top_k": {"top_k": 50},
    "repetition, frequency and presence penalty": {
        "repetition_penalty": 1.1,
        "frequency_penalty": 0.3,
        "presence_penalty": 0.3,
    },
    "dry, no_repeat_ngram_size": {
        "dry_multiplier": 0.8,
        "dry_sequence_breakers": [],
        "no_repeat_ngram_size": 4,
    },
}
# Every kind of stage but those with a state; chains that read no tokens are the first ones.
KINDS: dict[str, dict[str, Any]] = {
    "shapes and cuts": {
        "temperature": 1.3,
        "dynatemp_low": 0.5,
        "dynatemp_high": 1.5,
        "smoothing_factor": 0.2,
        "top_k": 50,
        "top_p": 0.9,
        "min_p": 0.05,
        "typical_p": 0.9,
        "tfs": 0.95,
        "top_a": 0.1,
        "epsilon_cutoff": 1e-4,
        "eta_cutoff": 1e-4,
        "top_n_sigma": 2.0,
        "top_h": 0.5,
        "p_less": True,
        "min_k": True,
        "skew": 0.1,
        "renormalize_logits": True,
    },
    "lists of tokens": {
        "logit_bias": {3: 2.0},
        "suppress_tokens": [4],
        "allowed_token_ids": [3, 9],
    },
    "sequences": {"bad_words_ids": [[1, 2], [7]], "sequence_bias": [[[3, 4], -2.0]]},
    "texts": {"banned_strings": ["ab"], "dry_multiplier": 0.8, "dry_sequence_breakers": ["\n"]},
    "noise": {"xtc_probability": 0.5, "reproducible": True},
    "ends": {"min_new_tokens": 5, "forced_eos_token_id": 2, "begin_suppress_tokens": [4]},
    "a schedule": {"temperature": {"from": 2.0, "to": 0.5, "over": 9, "curve": "cosine"}},
}
WITHOUT_TOKENS = ("top_k", "shapes and cuts", "lists of tokens")
MODES: dict[str, Any] = {
    "modes": {"slow": {"temperature": 0.5}, "fast": {"top_k": 3}},
    "switch": [
        {"from": "slow", "on": {"text": "ab"}, "to": "fast"},
        {"from": "fast", "on": {"tokens": 2}, "to": "slow"},
    ],
}
STATES: dict[str, dict[str, Any]] = {
    "mirostat 2": {"mirostat": 2},
    "adaptive_p": {"adaptive_target": 0.5},
}


def step(values: dict[str, Any], drafts: int, part: int = DRAFTS) -> Launches:
    """Counts a step in which each request has these values and `part` of its `drafts` tokens."""

    def read(batch: v2.V2Batch, slot: int) -> None:
        batch.rows.read(slot, (), (), LENGTH)  # a meta tensor has no tokens to read

    known = patch.object(v2, "token_bytes", lambda _: rows.token_bytes(VOCABULARY))
    with on_meta(), known, patch.object(v2.V2Batch, "_read", read):
        meter = Meter()
        batch = _batch(values, drafts, meter)
        for number in range(3):
            context = _context(number, min(part, drafts), drafts)
            logits = torch.empty(len(context.pos), VOCABULARY, device="meta")
            counted = Launches(lambda tensor: tensor.dim() == 2 and tensor.shape[1] >= LENGTH)
            batch.flush()
            with counted:
                batch.apply(logits, context)
    assert not meter.fallbacks
    return counted


def _batch(values: dict[str, Any], drafts: int, meter: Meter) -> v2.V2Batch:
    def on_device(*shape: int) -> SimpleNamespace:
        numbers = np.full(shape, LENGTH // 2, dtype=np.int32)
        return SimpleNamespace(
            gpu=torch.zeros(*shape, dtype=torch.int32, device="meta"), np=numbers
        )

    states: Any = SimpleNamespace(
        device=torch.device("meta"),
        max_num_reqs=REQUESTS,
        vocab_size=VOCABULARY,
        all_token_ids=on_device(REQUESTS, 2 * LENGTH),
        prompt_len=on_device(REQUESTS),
        prefill_len=on_device(REQUESTS),
        total_len=on_device(REQUESTS),
    )
    speculative = SimpleNamespace(num_speculative_tokens=drafts) if drafts else None
    batch = v2.V2Batch(engine_config(speculative_config=speculative), states, meter)
    for slot in range(REQUESTS):
        batch.add(slot, sampling_params(values, seed=slot))
    return batch


def _context(number: int, part: int, drafts: int) -> Any:
    count = REQUESTS * (part + 1)
    narrow = torch.zeros(count, dtype=torch.int32, device="meta")
    slots = np.arange(REQUESTS, dtype=np.int32)
    longest = LENGTH + number * (drafts + 1) + part
    return SimpleNamespace(
        expanded_idx_mapping=narrow,
        idx_mapping=narrow[:REQUESTS],
        idx_mapping_np=slots,
        expanded_local_pos=narrow,
        input_ids=narrow,
        pos=narrow.long(),
        seq_lens_upper_bound_np=np.full(REQUESTS, longest, dtype=np.int32),
    )


def main() -> None:
    """Prints the table."""
    heads = ("chain", "launches", "with drafts", "bytes of texts", "with drafts")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, values in CHAINS.items():
        plain, drafting = step(values, 0), step(values, DRAFTS)
        cells = (len(plain.names), len(drafting.names), plain.bytes, drafting.bytes)
        print(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
