"""Rows of the V2 runner: one for each request, or several with draft tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import temperament
from tests.engines.runners import (
    DRAFTS,
    MODES,
    NOTHING,
    PENALTIES,
    SLOTS,
    VOCABULARY,
    Row,
    V2Runner,
)

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


def alone(row: Row, place: int, logits: torch.Tensor) -> torch.Tensor:
    """The logits of a row alone, with its committed tokens and its draft tokens before it."""
    output = row.output + row.drafts[:place]
    return temperament.process(
        logits[None], row.chain, prompt_ids=[row.prompt], output_ids=[output], catalogue=NOTHING
    )[0]


def check(runner: V2Runner, rows: list[Row]) -> None:
    """Asserts that every row has the bits that it has alone."""
    layout = [(row, place) for row in rows for place in range(len(row.drafts) + 1)]
    logits = torch.randn(len(layout), VOCABULARY) * 3
    done = runner.step(rows, logits.clone())
    for number, (row, place) in enumerate(layout):
        expected = alone(row, place, logits[number])

        assert torch.equal(done[number].view(torch.int32), expected.view(torch.int32)), (row, place)


def some_rows(drafts: list[int], generator: np.random.Generator) -> list[Row]:
    """Requests with these numbers of draft tokens, in random slots, with random presets."""
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
    """With speculative decoding a draft token counts for the rows after it."""

    @pytest.mark.parametrize("drafts", [[3], [2, 0, 3], [0, 1], [3, 3, 3, 3, 3, 3], [0, 0, 1, 0]])
    @pytest.mark.parametrize("seed", range(8))
    def test_each_is_what_it_is_alone(self, drafts: list[int], seed: int) -> None:
        """A row has the history of its committed tokens, then its request's draft tokens."""
        torch.manual_seed(seed)
        rows = some_rows(drafts, np.random.default_rng(seed))
        runner = V2Runner()
        for row in rows:
            runner.add(row)

        check(runner, rows)

    @pytest.mark.parametrize("chain", CHAINS, ids=str)
    def test_with_each_chain(self, chain: dict[str, Any]) -> None:
        """Each preset gives the same beside a request with another preset and one without any."""
        torch.manual_seed(1)
        rows = [
            Row(3, CHAINS[8], [1, 2, 3, 1], [2, 4], [1, 1]),
            Row(0, chain, [1, 2], [3, 3, 3], [2, 3, 2]),
            Row(5, {}, [1], [], [1, 2]),
        ]
        runner = V2Runner()
        for row in rows:
            assert runner.add(row) == bool(row.chain)

        check(runner, rows)

    def test_a_draft_changes_only_the_rows_after_it(self) -> None:
        """The penalty of a draft token is on the rows after it, not on the row that drew it."""
        row = Row(2, {"presence_penalty": 2}, [1], [2], [7, 8])
        runner = V2Runner()
        runner.add(row)
        done = runner.step([row], torch.zeros(3, VOCABULARY))

        assert [
            [2],
            [2, 7],
            [2, 7, 8],
        ] == [sorted(done[i].nonzero().flatten().tolist()) for i in range(3)]


class TestSlots:
    """Without draft tokens a request has one row; slots are taken again and again."""

    @pytest.mark.parametrize("drafts", [0, DRAFTS])
    def test_a_slot_forgets(self, drafts: int) -> None:
        """A new request in a slot has neither the chain nor the tokens of the last one."""
        torch.manual_seed(0)
        generator = np.random.default_rng(0)
        runner = V2Runner(drafts)
        for _ in range(20):
            rows = some_rows([0] * int(generator.integers(1, SLOTS + 1)), generator)
            for row in rows:
                runner.add(row)

            check(runner, rows)

    def test_a_request_grows(self) -> None:
        """Tokens that the runner commits between two steps count at the second."""
        torch.manual_seed(0)
        runner = V2Runner(0)
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
        """A step in which no request has a chain returns the same tensor."""
        runner = V2Runner(0)
        runner.add(Row(0, CHAINS[6], [1], [], []))
        idle = Row(1, {}, [1], [], [])
        runner.add(idle)
        logits = torch.randn(1, VOCABULARY)

        assert runner.step([idle], logits) is logits
