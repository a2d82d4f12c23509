"""Stages with a state follow their definition, in any batch and any slot."""

import math
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from temperament import Run
from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.presets import Chain
from tests import reference, rows
from tests.examples import examples

VOCABULARY = 60
KINDS: list[dict[str, Any]] = [
    {"mirostat": 1, "mirostat_tau": 2.0, "mirostat_eta": 0.3},
    {"mirostat": 2, "mirostat_tau": 2.0, "mirostat_eta": 0.3},
    {"mirostat": 2, "mirostat_tau": 4.0, "temperature": 1.5, "reproducible": True},
    {"adaptive_target": 0.3, "adaptive_decay": 0.7},
    {"adaptive_target": 0.1, "top_k": 10},
    {"mirostat": 2, "mirostat_tau": 3.0, "adaptive_target": 0.4},
    {"temperature": 0.7},
    {},
]


def draw(after: Tensor, random: Random) -> int:
    """Returns a token drawn from the logits."""
    return random.choices(range(len(after)), after.softmax(-1).tolist())[0]


class Text:
    """A request, its logits so far, and the results."""

    def __init__(self, number: int, random: Random) -> None:
        self.request = Request(Chain.of(KINDS[number % len(KINDS)]), seed=number)
        self.prompt = random.choices(range(VOCABULARY), k=random.randint(0, 5))
        self.output: list[int] = []
        self.inputs: list[Tensor] = []
        self.after: list[Tensor] = []

    def alone(self) -> list[Tensor]:
        """Returns the results of all steps in a batch with this request alone."""
        batch = Rows(1)
        batch.write(0, self.request, self.prompt)
        after = []
        for logits, token in zip(self.inputs, self.output, strict=True):
            after.append(batch.run(logits[None].clone(), np.zeros(1, np.int64))[0])
            if batch.follows(0):
                batch.log.append(torch.tensor([token]), np.zeros(1, np.int64))
        return after


@given(seed=st.integers(0, 2**32), verbs=st.lists(st.integers(0, 5), max_size=40))
@examples(30)
def test_a_text_is_the_same_in_any_batch(seed: int, verbs: list[int]) -> None:
    """A text has the bits that it has alone, whatever happened to its slot."""
    random = Random(seed)
    batch = Rows(5)
    texts: list[Text] = []
    running: dict[int, Text] = {}
    waiting: list[tuple[Text, Any]] = []
    for verb in [0, 0, 5, *verbs, 5, 5]:
        free = [slot for slot in range(5) if slot not in running]
        if verb == 0 and free:
            texts.append(Text(len(texts) + seed, random))
            slot = random.choice(free)
            running[slot] = texts[-1]
            batch.write(slot, texts[-1].request, texts[-1].prompt)
        elif verb == 1 and running:
            slot = random.choice(list(running))
            waiting.append((running.pop(slot), batch.save(slot)))
            batch.clear(slot)
        elif verb == 2 and waiting and free:
            text, saved = waiting.pop(random.randrange(len(waiting)))
            slot = random.choice(free)
            running[slot] = text
            batch.write(slot, text.request, text.prompt, text.output)
            batch.restore(slot, saved)
        elif verb == 3 and running and free:
            source, target = random.choice(list(running)), random.choice(free)
            running[target] = running.pop(source)
            batch.clear(target)  # as vLLM's V1 runner moves a request
            batch.swap(source, target)
        elif verb == 4:
            one, other = random.sample(range(5), 2)
            batch.swap(one, other)
            first, second = running.pop(one, None), running.pop(other, None)
            running |= {slot: t for slot, t in ((one, second), (other, first)) if t}
        elif running:
            slots = random.sample(list(running), len(running))
            generator = torch.Generator().manual_seed(random.getrandbits(32))
            logits = torch.randn(len(slots), VOCABULARY, generator=generator) * 3
            after = batch.run(logits.clone(), np.array(slots))
            for row, slot in enumerate(slots):
                text = running[slot]
                text.inputs.append(logits[row])
                text.after.append(after[row])
                text.output.append(draw(after[row], random))
                if batch.follows(slot):
                    batch.log.append(torch.tensor(text.output[-1:]), np.array([slot]))

    for text in texts:
        for together, alone in zip(text.after, text.alone(), strict=True):
            assert rows.same_bits(together, alone)


CLASSES = {
    "mirostat": reference.module("mirostat").Mirostat,
    "adaptive_target": reference.module("adaptive_p").AdaptiveP,
}


@pytest.mark.parametrize(
    "values",
    [
        {"mirostat": 1, "mirostat_tau": 1.5, "mirostat_eta": 0.1},
        {"mirostat": 1, "mirostat_tau": 3.0, "mirostat_eta": 0.5},
        {"mirostat": 2, "mirostat_tau": 1.5, "mirostat_eta": 0.1},
        {"mirostat": 2, "mirostat_tau": 3.0, "mirostat_eta": 0.5},
        {"mirostat": 2, "mirostat_tau": 0.0, "mirostat_eta": 1.0},
        {"adaptive_target": 0.3, "adaptive_decay": 0.9},
        {"adaptive_target": 0.0, "adaptive_decay": 0.0},
        {"adaptive_target": 1.0, "adaptive_decay": 0.5},
    ],
    ids=str,
)
def test_steps_are_the_definitions(values: dict[str, Any]) -> None:
    """200 steps: the same tokens are left, with the same probabilities to 1e-4.

    The definition computes in 64 bits and follows what the op drew; a step at which rounding
    decides whether a token stays may differ by that token.
    """
    random = Random(str(values))
    (kind,) = CLASSES.keys() & values.keys()
    definition = CLASSES[kind](*values.values())
    run = Run(values, rows=1, catalogue=rows.NOTHING)
    differed = 0
    for step in range(200):
        logits = torch.randn(1, 200, generator=torch.Generator().manual_seed(step)) * 3
        after = run.run(logits)[0]
        expected = torch.tensor(definition.step(logits[0].tolist()))
        if not torch.equal(after > -math.inf, expected > -math.inf):
            differed += 1
            definition.drawn_from = after.softmax(-1).tolist()
        else:
            assert (after.softmax(-1) - expected.softmax(-1)).abs().max() < 1e-4
        token = draw(after, random)
        definition.accept(token)
        run.accept([token])

    assert differed <= 1


def drawn_over(presets: list[dict[str, Any]], steps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(p before, p after) of the tokens drawn by a batch of presets: [steps, rows] each."""
    run = Run(presets, catalogue=rows.NOTHING)
    generator = torch.Generator().manual_seed(0)
    before, after = [], []
    for logits in steps:
        every = logits.expand(len(presets), -1)
        left = run.run(every).softmax(-1)
        token = left.multinomial(1, generator=generator)
        before.append(every.softmax(-1).gather(1, token)[:, 0])
        after.append(left.gather(1, token)[:, 0])
        run.accept(token)
    return torch.stack(before), torch.stack(after)


def test_mirostat_settles() -> None:
    """Over 1,000 tokens the mean surprise is within 5 % of tau, and in each later quarter near it.

    The logits follow Zipf's law, with an exponent that changes from step to step.
    """
    generator = torch.Generator().manual_seed(0)
    exponents = 0.9 + 0.5 * torch.rand(1000, generator=generator)
    rank = torch.arange(1, 2001).float().log()
    steps = [-e * rank[torch.randperm(2000, generator=generator)] for e in exponents]
    kinds = [(version, tau) for version in (1, 2) for tau in (2.0, 3.5, 5.0)]
    _, p = drawn_over([{"mirostat": v, "mirostat_tau": t} for v, t in kinds], steps)
    surprise = -p.log2()

    for (_, tau), column in zip(kinds, surprise.T, strict=True):
        assert abs(column.mean() - tau) < 0.05 * tau
        assert (abs(column.view(4, 250).mean(1)[1:] - tau) < 0.1 * tau).all()


def test_adaptive_p_finds_its_target() -> None:
    """The mean probability of the drawn tokens is near the target where such tokens exist."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.5, 0.25, 0.12, 0.07, 0.04, 0.02])
    noise = (torch.randn(1000, 6, generator=generator) * 0.2).exp()
    targets = [0.1, 0.2, 0.3, 0.4]
    p, _ = drawn_over([{"adaptive_target": t} for t in targets], list((shares * noise).log()))

    for target, column in zip(targets, p.T, strict=True):
        assert abs(column.mean() - target) < 0.05


class TestOddSteps:
    """Engines may repeat or skip steps, and write tokens that were not drawn."""

    def state(self, run: Run) -> float:
        return float(run._rows._states._banks["mirostat"][0][0])

    def run_of(self, tau: float = 2.0) -> Run:
        return Run({"mirostat": 2, "mirostat_tau": tau}, rows=1, catalogue=rows.NOTHING)

    X = torch.tensor([[3.0, 2.0, 1.0, 0.0]])

    def test_a_step_that_is_run_twice_counts_once(self) -> None:
        """A repeated step changes neither the result nor the state."""
        run = self.run_of()
        first = run.run(self.X)
        assert rows.same_bits(run.run(self.X), first)
        run.accept([1])
        second = run.run(self.X)
        assert rows.same_bits(run.run(self.X), second)

        assert self.state(run) != 4.0

    def test_a_token_that_was_not_left_counts_for_nothing(self) -> None:
        """A removed token that is appended anyway leaves the state finite."""
        run = self.run_of(0.0)
        run.run(self.X)
        run.accept([3])
        run.run(self.X)

        assert 0.0 == self.state(run)

    @pytest.mark.parametrize("token", [-1, 4, 2**31])
    def test_a_token_outside_the_vocabulary_counts_for_nothing(self, token: int) -> None:
        """An id outside the vocabulary raises nothing and changes nothing."""
        run = self.run_of()
        run.run(self.X)
        run.accept([token])
        run.run(self.X)

        assert 4.0 == self.state(run)

    def test_several_tokens_at_once_are_not_followed(self) -> None:
        """The state stays if several tokens were appended since the last step."""
        run = self.run_of()
        run.run(self.X)
        run.accept([1])
        run.accept([1])
        run.run(self.X)

        assert 4.0 == self.state(run)

    def test_nan_is_forgotten(self) -> None:
        """A step with NaN leaves the state as it was, and the next one is finite."""
        run = self.run_of()
        run.run(torch.full_like(self.X, math.nan))
        run.accept([0])
        after = run.run(self.X)

        assert 4.0 == self.state(run)
        assert after.isfinite().any()
