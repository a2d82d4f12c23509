"""What the tests of vLLM's runners share: presets, requests, and a stand-in for the V2 runner."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from temperament import Catalogue
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.v2 import V2Batch
from temperament.plan import encode
from temperament.plan.residual import Residual
from temperament.plan.wire import KEY
from temperament.presets import as_preset

VOCABULARY, SLOTS, LONGEST, DRAFTS = 40, 6, 32, 3
NOTHING = Catalogue({})
PENALTIES = {"repetition_penalty": 1.4, "frequency_penalty": 0.7, "presence_penalty": 0.5}
# Modes that change often: on a few tokens, by count, by repetition.
MODES: dict[str, Any] = {
    "modes": {
        "a": {"temperature": 0.5},
        "b": {"temperature": {"from": 2, "to": 0.5, "over": 3}},
        "c": {"top_k": 3, "presence_penalty": 1.5},
    },
    "switch": [
        {"from": ["a", "c"], "on": {"token": 1}, "to": "b"},
        {"from": ["b"], "on": {"tokens": 2}, "to": "back"},
        {"from": ["a", "b"], "on": {"repeat": {"span": 1, "times": 2}}, "to": "c"},
        {"from": ["c"], "on": {"token": 2}, "to": "a"},
    ],
}


def residual(values: dict[str, Any]) -> Residual:
    """Returns the residual of a preset of which no stage is native."""
    preset = as_preset(values, NOTHING)
    return Residual(preset.chains, preset.start, preset.switch)


def engine_config(engine: int = 0, embeds: bool = False, **parts: Any) -> Any:
    """Returns what the runners read of vLLM's configuration, of a data-parallel engine."""
    parallel = SimpleNamespace(data_parallel_index=engine)
    model = SimpleNamespace(get_vocab_size=lambda: VOCABULARY, enable_prompt_embeds=embeds)
    return SimpleNamespace(
        instance_id="a3f01", parallel_config=parallel, model_config=model, **parts
    )


def sampling_params(values: dict[str, Any], seed: int | None = None) -> Any:
    """Returns what vLLM passes of a request with these values; each call returns a new object."""
    extra = {KEY: encode(residual(values), "test")} if values else None
    return SimpleNamespace(
        extra_args=extra,
        seed=seed,
        max_tokens=None,
        all_stop_token_ids=set[int](),
        repetition_penalty=1.0,
    )


@dataclass(frozen=True)
class Row:
    """One request of a batch: its slot, its preset's values, its tokens and its draft tokens."""

    slot: int
    chain: dict[str, Any]
    prompt: list[int]
    output: list[int]
    drafts: list[int]


class V2Runner:
    """The V2 runner's tables of tokens, and the layout of its steps."""

    def __init__(self, drafts: int = DRAFTS, embeds: bool = False) -> None:
        self.tokens = torch.randint(VOCABULARY, (SLOTS, LONGEST), dtype=torch.int32)  # stale
        self.prompts = torch.zeros(SLOTS, dtype=torch.int32)
        self.filled = np.zeros(SLOTS, dtype=np.int32)
        self.totals = torch.zeros(SLOTS, dtype=torch.int32)
        self._states = SimpleNamespace(
            device=torch.device("cpu"),
            max_num_reqs=SLOTS,
            vocab_size=VOCABULARY,
            all_token_ids=SimpleNamespace(gpu=self.tokens),
            prompt_len=SimpleNamespace(gpu=self.prompts, np=self.prompts.numpy()),
            prefill_len=SimpleNamespace(np=self.filled),
            total_len=SimpleNamespace(gpu=self.totals),
        )
        speculative = SimpleNamespace(num_speculative_tokens=drafts) if drafts else None
        self._config = engine_config(embeds=embeds, speculative_config=speculative)
        self.meter = Meter()
        self.start()

    def start(self) -> None:
        """Creates the adapter, as vLLM does while it loads the model."""
        self.batch = V2Batch(self._config, self._states, self.meter)

    def add(self, row: Row) -> bool:
        """Gives a slot to a request, whose tokens are committed."""
        committed = row.prompt + row.output
        self.tokens[row.slot, : len(committed)] = torch.tensor(committed, dtype=torch.int32)
        self.prompts[row.slot] = len(row.prompt)
        self.filled[row.slot] = len(committed)
        return self.batch.add(row.slot, sampling_params(row.chain))

    def step(self, rows: list[Row], logits: torch.Tensor) -> torch.Tensor:
        """Runs a step in which each request has one row, and one more for each of its drafts."""
        self.batch.flush()
        return self.batch.apply(logits, self.context(rows))

    def context(self, rows: list[Row]) -> Any:
        """Returns what the runner passes of such a step."""
        layout = [(row, place) for row in rows for place in range(len(row.drafts) + 1)]
        fed = [[*row.prompt, *row.output, *row.drafts] for row in rows]
        slots = np.array([row.slot for row in rows], dtype=np.int32)
        committed = [len(row.prompt) + len(row.output) for row in rows]
        ends = dict(zip(slots.tolist(), committed, strict=True))
        positions = [ends[row.slot] - 1 + place for row, place in layout]
        tokens = {row.slot: row_tokens for row, row_tokens in zip(rows, fed, strict=True)}
        return SimpleNamespace(
            expanded_idx_mapping=torch.tensor([row.slot for row, _ in layout], dtype=torch.int32),
            idx_mapping=torch.from_numpy(slots),
            idx_mapping_np=slots,
            expanded_local_pos=torch.tensor([place for _, place in layout], dtype=torch.int32),
            input_ids=torch.tensor(
                [tokens[row.slot][at] for (row, _), at in zip(layout, positions, strict=True)],
                dtype=torch.int32,
            ),
            pos=torch.tensor(positions),
            seq_lens_upper_bound_np=np.array(
                [len(row_tokens) for row_tokens in fed], dtype=np.int32
            ),
        )
