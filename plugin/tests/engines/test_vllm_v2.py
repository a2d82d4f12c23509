"""The V2 runner's rows, with a batch layout made by hand: several rows for one request."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import temperament
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
CHAINS: list[dict[str, Any]] = [
    MODES,
    {**MODES, "start": "b"},
    {},
    {"temperature": 0},
    {"temperature": 1.7, "min_p": 0.05, "top_p": 0.9},
    {"order": ["top_k", "top_p", "temperature"], "top_k": 7, "top_p": 0.8, "temperature": 2.5},
    PENALTIES,
    {**PENALTIES, "temperature": 0.6, "top_k": 9},
    {**PENALTIES, "order": ["top_p", "temperature"], "top_p": 0.7, "temperature": 1.5},
    {"logit_bias": {3: 150, 5: -2, 39: 1.5}, "frequency_penalty": -1},
    {"logit_bias": {0: -4}, "top_k": 3},
]


def residual(words: dict[str, Any]) -> Residual:
    """What is left to us of a preset of which nothing is native."""
    preset = as_preset(words, NOTHING)
    return Residual(preset.chains, preset.start, preset.switch)


@dataclass(frozen=True)
class Row:
    """One request of a batch: its slot, its chain, its tokens, and how many of them are drafts."""

    slot: int
    chain: dict[str, Any]
    prompt: list[int]
    output: list[int]
    drafts: list[int]


class Runner:
    """What V2 keeps and tells: its tables of tokens, and the layout of a step."""

    def __init__(self, drafts: int = DRAFTS) -> None:
        self.tokens = torch.randint(VOCABULARY, (SLOTS, LONGEST), dtype=torch.int32)  # stale
        self.prompts = torch.zeros(SLOTS, dtype=torch.int32)
        self.filled = np.zeros(SLOTS, dtype=np.int32)
        states = SimpleNamespace(
            device=torch.device("cpu"),
            max_num_reqs=SLOTS,
            vocab_size=VOCABULARY,
            all_token_ids=SimpleNamespace(gpu=self.tokens),
            prompt_len=SimpleNamespace(gpu=self.prompts, np=self.prompts.numpy()),
            prefill_len=SimpleNamespace(np=self.filled),
        )
        speculative = SimpleNamespace(num_speculative_tokens=drafts) if drafts else None
        config: Any = SimpleNamespace(speculative_config=speculative)
        self.meter = Meter()
        self.batch = V2Batch(config, states, self.meter)

    def add(self, row: Row) -> bool:
        """A request takes a slot; the tokens that it has are committed."""
        committed = row.prompt + row.output
        self.tokens[row.slot, : len(committed)] = torch.tensor(committed, dtype=torch.int32)
        self.prompts[row.slot] = len(row.prompt)
        self.filled[row.slot] = len(committed)
        extra = {KEY: encode(residual(row.chain), "test")} if row.chain else None
        params: Any = SimpleNamespace(
            extra_args=extra, seed=None, max_tokens=None, all_stop_token_ids=set()
        )
        return self.batch.add(row.slot, params)

    def step(self, rows: list[Row], logits: torch.Tensor) -> torch.Tensor:
        """A step in which each request has a row, and one more for each of its drafts."""
        self.batch.flush()
        layout = [(row, place) for row in rows for place in range(len(row.drafts) + 1)]
        fed = [[*row.prompt, *row.output, *row.drafts] for row in rows]
        slots = np.array([row.slot for row in rows], dtype=np.int32)
        committed = [len(row.prompt) + len(row.output) for row in rows]
        ends = dict(zip(slots.tolist(), committed, strict=True))
        positions = [ends[row.slot] - 1 + place for row, place in layout]
        tokens = {row.slot: own for row, own in zip(rows, fed, strict=True)}
        context: Any = SimpleNamespace(
            expanded_idx_mapping=torch.tensor([row.slot for row, _ in layout], dtype=torch.int32),
            idx_mapping=torch.from_numpy(slots),
            idx_mapping_np=slots,
            expanded_local_pos=torch.tensor([place for _, place in layout], dtype=torch.int32),
            input_ids=torch.tensor(
                [tokens[row.slot][at] for (row, _), at in zip(layout, positions, strict=True)],
                dtype=torch.int32,
            ),
            pos=torch.tensor(positions),
            seq_lens_upper_bound_np=np.array([len(own) for own in fed], dtype=np.int32),
        )
        return self.batch.apply(logits, context)


def alone(row: Row, place: int, logits: torch.Tensor) -> torch.Tensor:
    """The row by itself: what was committed, and its own request's drafts up to it."""
    output = row.output + row.drafts[:place]
    return temperament.process(
        logits[None], row.chain, prompt_ids=[row.prompt], output_ids=[output], catalogue=NOTHING
    )[0]


def check(runner: Runner, rows: list[Row]) -> None:
    """Fails unless every row is, bit for bit, what it is alone."""
    layout = [(row, place) for row in rows for place in range(len(row.drafts) + 1)]
    logits = torch.randn(len(layout), VOCABULARY) * 3
    done = runner.step(rows, logits.clone())
    for number, (row, place) in enumerate(layout):
        wanted = alone(row, place, logits[number])

        assert torch.equal(done[number].view(torch.int32), wanted.view(torch.int32)), (row, place)


def some_rows(drafts: list[int], generator: np.random.Generator) -> list[Row]:
    """Requests with so many drafts each, in any slots, with any chains."""
    slots = generator.permutation(SLOTS)[: len(drafts)]

    def ids(low: int, high: int) -> list[int]:
        # few different tokens, so that they repeat
        return [
            int(t) for t in generator.integers(VOCABULARY // 4, size=generator.integers(low, high))
        ]

    return [
        Row(
            int(slot),
            CHAINS[generator.integers(len(CHAINS))],
            ids(1, 9),
            ids(0, 9),
            [int(t) for t in generator.integers(VOCABULARY // 4, size=count)],
        )
        for slot, count in zip(slots, drafts, strict=True)
    ]


class TestSeveralRowsOfARequest:
    """Speculative decoding: a row for each draft token, which counts for the rows behind it."""

    @pytest.mark.parametrize("drafts", [[3], [2, 0, 3], [0, 1], [3, 3, 3, 3, 3, 3], [0, 0, 1, 0]])
    @pytest.mark.parametrize("seed", range(8))
    def test_each_is_what_it_is_alone(self, drafts: list[int], seed: int) -> None:
        """With the history that it has there: committed tokens, then its own drafts."""
        torch.manual_seed(seed)
        rows = some_rows(drafts, np.random.default_rng(seed))
        runner = Runner()
        for row in rows:
            runner.add(row)

        check(runner, rows)

    @pytest.mark.parametrize("chain", CHAINS, ids=str)
    def test_with_each_chain(self, chain: dict[str, Any]) -> None:
        """Beside a request that has another one and one that has none."""
        torch.manual_seed(1)
        rows = [
            Row(3, CHAINS[8], [1, 2, 3, 1], [2, 4], [1, 1]),
            Row(0, chain, [1, 2], [3, 3, 3], [2, 3, 2]),
            Row(5, {}, [1], [], [1, 2]),
        ]
        runner = Runner()
        for row in rows:
            assert runner.add(row) == bool(row.chain)

        check(runner, rows)

    def test_a_draft_changes_the_rows_behind_it_alone(self) -> None:
        """The penalty of a drafted token is not on the row that drew it."""
        row = Row(2, {"presence_penalty": 2}, [1], [2], [7, 8])
        runner = Runner()
        runner.add(row)
        done = runner.step([row], torch.zeros(3, VOCABULARY))

        assert [sorted(done[i].nonzero().flatten().tolist()) for i in range(3)] == [
            [2],
            [2, 7],
            [2, 7, 8],
        ]


class TestSlots:
    """One row a request, slots taken again and again."""

    @pytest.mark.parametrize("drafts", [0, DRAFTS])
    def test_a_slot_forgets(self, drafts: int) -> None:
        """A new request in a slot has nothing of the old one's, chain or tokens."""
        torch.manual_seed(0)
        generator = np.random.default_rng(0)
        runner = Runner(drafts)
        for _ in range(20):
            rows = some_rows([0] * int(generator.integers(1, SLOTS + 1)), generator)
            for row in rows:
                runner.add(row)

            check(runner, rows)

    def test_a_request_grows(self) -> None:
        """Tokens that the runner commits between steps count at the next one."""
        torch.manual_seed(0)
        runner = Runner(0)
        rows = [Row(4, CHAINS[8], [1, 2], [], []), Row(1, CHAINS[6], [5], [6], [])]
        for row in rows:
            runner.add(row)
        for token in (3, 3, 1, 2):
            check(runner, rows)
            rows = [Row(r.slot, r.chain, r.prompt, [*r.output, token], []) for r in rows]
            for row in rows:
                runner.tokens[row.slot, len(row.prompt) + len(row.output) - 1] = token

        check(runner, rows)

    def test_nothing_to_do(self) -> None:
        """Where no request of the step has a chain, the same tensor comes back."""
        runner = Runner(0)
        runner.add(Row(0, CHAINS[6], [1], [], []))
        idle = Row(1, {}, [1], [], [])
        runner.add(idle)
        logits = torch.randn(1, VOCABULARY)

        assert runner.step([idle], logits) is logits
