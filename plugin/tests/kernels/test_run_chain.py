"""The kernel of shapes and cuts against the ops, which are its specification."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament.batch.device_chains import kernel_start
from temperament.batch.kernel_choice import runs_kernels
from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.compiled.prepared import SWITCH
from temperament.kernels import layout, run_chain
from temperament.presets import Chain, as_preset
from temperament.stages import BY_NAME, STAGES
from tests import reference, rows
from tests.comparing import assert_same_distribution, away_from_boundaries
from tests.plain import RowContext
from tests.tables import Case

STAGES_HERE = sorted(layout.OPERATIONS)
# Their results are rounded where the kernel and the op sum in another order.
PENALTIES = {stage.name for stage in STAGES if stage.group == "penalty"}
SHAPES_AND_CUTS = [stage for stage in STAGES_HERE if layout.OPERATIONS[stage][0] < layout.ON_SOME]
ROUNDED = {"dynamic_temperature", "renormalize_logits", "adaptive_p", "skew"}
every_stage = pytest.mark.parametrize("stage", STAGES_HERE)
CASES = [(stage, case) for stage in STAGES_HERE for case in reference.module(stage).TABLE]


class Batch:
    """Random rows, each with a chain, a history and noise of its own."""

    def __init__(self, chains: Sequence[Chain], vocabulary: int, seed: int) -> None:
        random = Random(seed)
        self.chains = chains
        self.logits = rows.logits(len(chains), vocabulary, random)
        self.prompts = rows.ids(len(chains), vocabulary, 20, random)
        self.outputs = rows.ids(len(chains), vocabulary, 20, random)

    def run(self, which: Sequence[int] | None = None) -> Tensor:
        """Returns the result of some rows, run as one batch."""
        slots = np.array(range(len(self.chains)) if which is None else which, dtype=np.int64)
        vocabulary = self.logits.shape[1]
        batch = Rows(len(self.chains), vocabulary=lambda: rows.token_bytes(vocabulary))
        for row in slots.tolist():
            request = Request(self.chains[row], row, -1, (vocabulary - 1,))
            batch.write(row, request, self.prompts[row], self.outputs[row])
        return batch.run(self.logits[slots].clone(), slots)


def with_ops(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What the ops make of a batch."""
    with monkeypatch.context() as patch:
        patch.delenv(SWITCH)
        return batch.run()


@pytest.mark.parametrize("stage", sorted(stage for stage in STAGES_HERE if stage in PENALTIES))
def test_text_that_grows(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, the kernels do what the ops do; suffix matches are kept between the steps."""
    random = Random(stage)
    chains = [Chain.of(rows.values(BY_NAME[stage], random, 20)) for _ in range(4)]
    prompts = [random.choices(range(20), k=30) for _ in chains]
    steps = [(random.choices(range(20), k=4), torch.randn(4, 20)) for _ in range(4)]

    def run() -> list[Tensor]:
        batch = Rows(4, vocabulary=lambda: rows.token_bytes(20))
        for slot, (chain, prompt) in enumerate(zip(chains, prompts, strict=True)):
            batch.write(slot, Request(chain), prompt)
        done = []
        for tokens, logits in steps:
            done.append(batch.run(logits.clone(), np.arange(4)))
            batch.log.append(torch.tensor(tokens))
        return done

    actual = run()
    monkeypatch.delenv(SWITCH)

    assert all(rows.same_bits(*pair) for pair in zip(actual, run(), strict=True))


def random_chains(count: int, vocabulary: int, random: Random) -> list[Chain]:
    """Chains of one to five of the kernel's stages, in any order that a preset may set."""
    movable = [stage.name for stage in STAGES if stage.movable]
    chains = []
    for _ in range(count):
        values: dict[str, Any] = {}
        for stage in random.sample(STAGES_HERE, random.randint(1, 5)):
            values |= rows.values(BY_NAME[stage], random, vocabulary)
        chains.append(rows.preset(values, random.sample(movable, len(movable))).chain)
    return chains


@pytest.mark.parametrize(
    ("stage", "case"),
    CASES,
    ids=[f"{stage}-{case.value}" for stage, case in CASES],
)
def test_tables(stage: str, case: Case) -> None:
    """The kernel keeps the tokens of every stage's table; their logits differ in the last bits."""
    first = BY_NAME[stage].parameters[0].name
    values = {first: case.value, **case.others}
    actual = rows.apply(case.before, values, case.prompt, case.output, case.context)

    assert actual == pytest.approx(case.after, rel=1e-6, abs=0)


@every_stage
@pytest.mark.usefixtures("blocks")
def test_each_stage_is_its_op(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tokens, and the same bits where no sum is part of the result."""
    random = Random(stage)
    chains = [Chain.of(rows.values(BY_NAME[stage], random, 300)) for _ in range(5)]
    batch = Batch(chains, 300, seed=len(stage))
    expected, actual = with_ops(batch, monkeypatch), batch.run()

    assert torch.equal(actual > -math.inf, expected > -math.inf)
    if stage in ROUNDED:
        assert torch.allclose(actual, expected, rtol=1e-5, atol=1e-5)
    else:
        assert rows.same_bits(actual, expected)


@pytest.mark.usefixtures("blocks")
def test_chains_of_several_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with different chains in one batch: each as the definitions say."""
    random = Random(7)
    batch = Batch(random_chains(16, 200, random), 200, seed=1)
    actual = batch.run()
    compared = 0
    for row, chain in enumerate(batch.chains):
        context = RowContext(row, -1, (199,), rows.token_bytes(200).tokens)
        given = (chain, batch.prompts[row], batch.outputs[row], context)
        x = batch.logits[row].tolist()
        if max(x) > -math.inf and away_from_boundaries(x, *given):
            compared += 1
            assert_same_distribution(actual[row].tolist(), reference.chain(x, *given))

    assert compared > 8


@pytest.mark.usefixtures("blocks")
def test_a_row_is_the_same_alone_and_in_any_batch() -> None:
    """A row has the same bits alone and in any batch."""
    batch = Batch(random_chains(6, 300, Random(3)), 300, seed=2)
    together = batch.run()
    order = Random(1).sample(range(6), 6)

    assert rows.same_bits(batch.run(order), together[order])
    for row in range(6):
        assert rows.same_bits(batch.run([row]), together[row : row + 1])


@pytest.mark.parametrize("stage", SHAPES_AND_CUTS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_without_a_distribution_stays_as_it_is(stage: str, bad: float) -> None:
    """NaN or +inf among its logits, or nothing but -inf."""
    chain = Chain.of(rows.values(BY_NAME[stage], Random(stage), 40))
    batch = Batch([chain, chain], 40, seed=5)
    batch.logits[0, slice(None) if bad < 0 else 3] = bad

    assert rows.same_bits(batch.run()[:1], batch.logits[:1])


def test_the_padding_of_a_view_stays() -> None:
    """A runner may cut off the vocabulary's padding by a view."""
    batch = Batch([Chain.of({"top_k": 5})] * 3, 100, seed=4)
    expected = batch.run()
    whole = torch.full((3, 117), 7.0)
    whole[:, :100] = batch.logits
    batch.logits = whole[:, :100]
    kept = Rows(3)
    for row in range(3):
        kept.write(row, Request(batch.chains[row]))
    done = kept.run(batch.logits, np.arange(3))

    assert done.data_ptr() == whole.data_ptr()
    assert rows.same_bits(done, expected)
    assert bool((whole[:, 100:] == 7).all())


@pytest.mark.parametrize("curve", ["linear", "cosine"])
@pytest.mark.parametrize("over", [1, 7, 15])
def test_a_schedule_is_followed(curve: str, over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are those of each row's position, to the schedule's end and after it."""
    schedule = {"from": 0.2, "to": 3.0, "over": over, "curve": curve}
    values = {"temperature": schedule, "top_k": {**schedule, "from": 1, "to": 40}, "top_p": 0.7}
    chain = as_preset(values, rows.NOTHING).chain
    batch = Batch([chain] * 22, 50, seed=9)
    batch.outputs = [[1] * length for length in range(22)]

    assert rows.same_bits(batch.run(), with_ops(batch, monkeypatch))


def test_every_stage_has_a_kernel() -> None:
    """So a chain is never divided; one with a stage of somebody's own would be, after that."""
    assert 0 == kernel_start(tuple(stage.name for stage in STAGES))
    assert 2 == kernel_start(("temperature", "a stage without a kernel", "top_p", "xtc"))


def logits_that_need_the_whole_order() -> Tensor:
    """[4, 300] rows in which the largest 64 tell neither tfs nor min-k where to cut."""
    flat = torch.randn(300, generator=torch.Generator().manual_seed(5)) / 8
    place = torch.arange(300)
    rough = (flat * 32).round() / 32  # many ties, as bfloat16 has them, and both zeros
    late = torch.where(place % 3 == 0, flat / 1000, flat - 2000)
    removed = flat.masked_fill(place % 2 == 0, -math.inf)
    return torch.stack([-rough, late, removed, torch.zeros(300)])


@pytest.mark.parametrize(
    "values",
    [{"tfs": 0.95}, {"min_k": True, "min_k_tau": 0.0}, {"ees": True}, {"skew": 0.3}],
    ids=str,
)
def test_the_order_of_a_whole_row(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the largest don't tell, the row is sorted; equal tokens are in the order of ids."""
    monkeypatch.setattr(run_chain, "sizes", lambda _: run_chain.Sizes(128, 64, 4))
    batch = Batch([Chain.of(values)] * 4, 300, seed=0)
    batch.logits = logits_that_need_the_whole_order()
    expected, actual = with_ops(batch, monkeypatch), batch.run()

    assert torch.equal(actual > -math.inf, expected > -math.inf)
    assert torch.allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_mirostat_1_reads_the_largest_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they don't fit in the list of those among which the last is searched."""
    monkeypatch.setattr(run_chain, "sizes", lambda _: run_chain.Sizes(256, 128, 4))
    batch = Batch([Chain.of({"mirostat": 1, "mirostat_tau": 3.0})], 300, seed=0)
    # The search finds 80 above a bound and 180 above the next.
    first = 10 - 0.5 * torch.arange(1, 81).log()
    batch.logits = torch.cat([first, torch.linspace(7.45, 7.05, 100), torch.full((120,), -22.0)])[
        None
    ]

    assert rows.same_bits(batch.run(), with_ops(batch, monkeypatch))


def test_kernels_are_compiled_before_a_step_needs_them() -> None:
    """Warming up launches each of them, and changes no place."""
    batch = Rows(2)
    batch.table.warm_up(100)
    batch.write(0, Request(Chain.of({"top_k": 1})))
    done = batch.run(torch.tensor([[1.0, 2.0]]), np.zeros(1, np.int64))

    assert [[-math.inf, 2.0]] == done.tolist()


def test_an_operator_can_turn_the_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """`off` on a GPU, whose way a meta tensor goes; on a CPU they must be asked for."""
    assert runs_kernels(torch.device("meta"))
    assert runs_kernels(torch.device("cpu"))
    monkeypatch.setenv(SWITCH, "off")

    assert not runs_kernels(torch.device("meta"))
    assert not runs_kernels(torch.device("cpu"))


LISTED: list[dict[str, Any]] = [
    {"exponential_decay_length_penalty": 1.3, "exponential_decay_start": 2},
    {"exponential_decay_length_penalty": 0.5, "no_repeat_ngram_size": 1},
    {"allowed_token_ids": (3, 5, 90), "logit_bias": ((3, 2.0), (39, -1e30))},
    {"suppress_tokens": tuple(range(40)), "sequence_bias": (((1, 2), 3.0), ((2,), 0.1))},
    {"forced_eos_token_id": (5, 7), "min_new_tokens": 50},
    {"banned_strings": ("a", "b", "\n"), "frequency_penalty": 0.5},
    {"remove_invalid_values": True, "top_k": 4},
    {"encoder_no_repeat_ngram_size": 2, "bad_words_ids": ((1, 2), (2,), (4, 2))},
]


def test_biases_and_bans_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """They do what the ops do in one batch, NaN and rows that would lose all tokens among them."""
    logits = torch.randn(len(LISTED), 40)
    logits[2, [3, 5]] = -math.inf
    logits[6, 1], logits[6, 2], logits[5, 7] = math.nan, math.inf, math.nan

    def run(count: int) -> Tensor:
        batch = Rows(count, vocabulary=lambda: rows.token_bytes(40))
        for row, values in enumerate(LISTED[:count]):
            request = Request(rows.preset(values).chain, row, 6, (7, 39))
            batch.write(row, request, [1, 2, 5, 1], [2, 6, 1, 2, 1])
        return batch.run(logits[:count].clone(), np.arange(count))

    actual, alone = run(len(LISTED)), run(1)
    monkeypatch.delenv(SWITCH)

    assert rows.same_bits(actual, run(len(LISTED)))
    assert rows.same_bits(actual[:1], alone)


def test_breakers_of_several_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they end in a text, and which tokens would complete them, is found in the kernel."""
    random = Random(4)
    values = {"dry_multiplier": 1.0, "dry_allowed_length": 1, "dry_sequence_breakers": ("abb", "b")}
    others = {**values, "dry_sequence_breakers": ("\na", "aba"), "dry_protect_ends": False}
    chains = [rows.preset(values).chain, rows.preset(others).chain] * 3
    batch = Batch(chains, 30, seed=6)
    batch.outputs = [random.choices([*range(5), 29], k=25) for _ in chains]

    actual = batch.run()

    assert rows.same_bits(actual, with_ops(batch, monkeypatch))
    assert not rows.same_bits(actual, batch.logits)


@pytest.mark.parametrize("stage", sorted(PENALTIES))
def test_ids_outside_the_vocabulary_change_nothing(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placeholders, and tokens of another modality; what lies beside the logits stays too."""
    chain = Chain.of(rows.values(BY_NAME[stage], Random(stage), 30))
    outside = [-1, 30, 35, -5, 30, -1, 35, -5, 30, -1]
    batch = Batch([chain] * 2, 30, seed=3)
    batch.prompts = [[*outside, 1, 2, 1], outside]
    batch.outputs = [[2, *outside, 1, 2], outside]
    expected = with_ops(batch, monkeypatch)
    whole = torch.full((4, 50), 7.0)
    whole[1:3, 10:40] = batch.logits
    kept = Rows(2, vocabulary=lambda: rows.token_bytes(30))
    for row in range(2):
        request = Request(chain, row, -1, (29,))
        kept.write(row, request, batch.prompts[row], batch.outputs[row])
    done = kept.run(whole[1:3, 10:40], np.arange(2)).clone()
    whole[1:3, 10:40] = 7.0

    assert rows.same_bits(done, expected)
    assert bool((whole == 7.0).all())
