"""What an engine does natively and what is left for us: together exactly what the chain says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temperament.plan import TARGETS, Plan, split
from temperament.plan.split import CHOICES
from temperament.plan.targets import TRANSFORMERS, VLLM, VLLM_MESSAGES, Target
from temperament.presets import Chain
from tests import reference
from tests.examples import examples
from tests.plain import softmax
from tests.plan.chains import ANY_PRESET, ORDERS, chain_of


def sides(plan: Plan) -> list[str]:
    return [f"{decision.step.stage} {decision.side}" for decision in plan.decisions]


GREEDY = {"temperature": 0}
PENALTIES = {"repetition_penalty": 1.1, "frequency_penalty": 0.5, "presence_penalty": 0.5}
TEXTBOOK = {
    "temperature": 0.7,
    "top_k": 40,
    "top_p": 0.9,
    "order": ["top_k", "top_p", "temperature"],
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"temperature": 1.3}, ["temperature native"]),
        # Greedy: one token is left, so nothing after it matters.
        (GREEDY, ["temperature native"]),
        (
            {**GREEDY, "top_k": 5, "top_p": 0.5, "min_p": 0.1},
            ["temperature native", "top_k idle", "top_p idle", "min_p idle"],
        ),
        (
            {**GREEDY, "presence_penalty": 1, "top_p": 0.5},
            ["presence_penalty native", "temperature native", "top_p idle"],
        ),
        (
            {**GREEDY, "top_p": 0.5, "min_p": 0.1, "order": ["top_p"]},
            ["top_p residual", "temperature residual", "min_p idle"],
        ),
        # Temperatures that vLLM changes or refuses, and those at the edge that it takes.
        ({"temperature": 0.005}, ["temperature residual"]),
        ({"temperature": 0.0099999}, ["temperature residual"]),
        ({"temperature": 0.01}, ["temperature native"]),
        ({"temperature": 2}, ["temperature native"]),
        ({"temperature": 2.0001}, ["temperature residual"]),
        ({"temperature": 2.5, "top_k": 5}, ["temperature residual", "top_k residual"]),
        ({"top_p": 0}, ["top_p residual"]),
        ({"top_p": 1e-9}, ["top_p native"]),
        # min_p: vLLM has it before top_k, which is the same, and before top_p, which isn't.
        ({"min_p": 0.1}, ["min_p native"]),
        ({"min_p": 0.1, "top_k": 5}, ["top_k native", "min_p native"]),
        ({"min_p": 0.1, "top_p": 0.5}, ["top_p residual", "min_p residual"]),
        (
            {"min_p": 0.1, "top_p": 0.5, "order": ["min_p", "top_p"]},
            ["min_p native", "top_p native"],
        ),
        (
            {"temperature": 0.7, "min_p": 0.1, "top_k": 5, "top_p": 0.5},
            ["temperature residual", "top_k residual", "top_p residual", "min_p residual"],
        ),
        (
            {"top_k": 5, "min_p": 0.1, "top_p": 0.5, "order": ["top_k", "min_p", "top_p"]},
            ["top_k native", "min_p native", "top_p native"],
        ),
        (
            {"top_k": 5, "min_p": 0.1, "top_p": 0.5, "order": ["min_p", "top_p", "top_k"]},
            ["min_p residual", "top_p residual", "top_k residual"],
        ),
        # Other orders.
        (TEXTBOOK, ["top_k residual", "top_p residual", "temperature residual"]),
        (
            {"temperature": 0.7, "top_k": 40, "order": ["top_k"]},
            ["top_k residual", "temperature residual"],
        ),
        ({"top_k": 40, "top_p": 0.9, "order": ["top_p"]}, ["top_p residual", "top_k residual"]),
        (
            {"temperature": 0.7, "top_k": 40, "top_p": 0.9},
            ["temperature native", "top_k native", "top_p native"],
        ),
        # What vLLM runs before the processor stays native, up to the first stage that it can't.
        (
            {**PENALTIES, "logit_bias": {5: -100}, "temperature": 2.5},
            [
                "logit_bias native",
                "repetition_penalty native",
                "frequency_penalty native",
                "presence_penalty native",
                "temperature residual",
            ],
        ),
        (
            {**PENALTIES, **TEXTBOOK},
            [
                "repetition_penalty native",
                "frequency_penalty native",
                "presence_penalty native",
                "top_k residual",
                "top_p residual",
                "temperature residual",
            ],
        ),
        ({"logit_bias": {5: 100, 6: -100}}, ["logit_bias native"]),
        (
            {**PENALTIES, "logit_bias": {5: 1, 6: 150}, "temperature": 0.7},
            [
                "logit_bias residual",
                "repetition_penalty residual",
                "frequency_penalty residual",
                "presence_penalty residual",
                "temperature residual",
            ],
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_vllm_keeps_what_it_does_the_same(values: dict[str, Any], expected: list[str]) -> None:
    """A stage is native where vLLM takes its value, in an order with the same result."""

    assert expected == sides(split(chain_of(values), VLLM))


@pytest.mark.parametrize(
    ("values", "choice", "platform", "expected"),
    [
        (
            {"temperature": 0.7, "top_p": 0.9},
            "auto",
            "cpu",
            ["temperature residual", "top_p residual"],
        ),
        (
            {"temperature": 0.7, "top_k": 5},
            "auto",
            "cpu",
            ["temperature residual", "top_k residual"],
        ),
        (
            {"temperature": 0.7, "top_p": 0.9},
            "auto",
            "cuda",
            ["temperature native", "top_p native"],
        ),
        ({"temperature": 0.7, "top_p": 0.9}, "auto", None, ["temperature native", "top_p native"]),
        (
            {"temperature": 0.7, "top_p": 0.9},
            "native",
            "cpu",
            ["temperature native", "top_p native"],
        ),
        ({"temperature": 0.7, "min_p": 0.1}, "auto", "cpu", ["temperature native", "min_p native"]),
        (
            {"presence_penalty": 1, "top_k": 5},
            "auto",
            "cpu",
            ["presence_penalty residual", "top_k residual"],
        ),
        ({"presence_penalty": 1}, "auto", "cuda", ["presence_penalty native"]),
        ({**GREEDY, "top_p": 0.9}, "auto", "cpu", ["temperature native", "top_p idle"]),
        ({"temperature": 2.5}, "native", None, ["temperature residual"]),
        ({"top_p": 0.9, "min_p": 0.1}, "native", None, ["top_p residual", "min_p residual"]),
        (
            {"presence_penalty": 1, "temperature": 0.7},
            "residual",
            None,
            ["presence_penalty residual", "temperature residual"],
        ),
        ({**GREEDY, "top_p": 0.9}, "residual", "cuda", ["temperature residual", "top_p idle"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_choice_may_be_forced(
    values: dict[str, Any], choice: Any, platform: str | None, expected: list[str]
) -> None:
    """`auto` looks at the platform, `residual` takes all, `native` all that stays the same."""

    assert expected == sides(split(chain_of(values), VLLM, choice, platform))


@pytest.mark.parametrize("choice", CHOICES)
def test_transformers_leaves_everything_to_us(choice: Any) -> None:
    """Whatever is chosen: the user's processors run alone there, idle stages excepted."""
    chain = chain_of({**PENALTIES, "temperature": 0.7, "top_k": 5})
    plan = split(chain, TRANSFORMERS, choice)

    assert chain == plan.residual
    assert dict(TRANSFORMERS.fields) == plan.native


def test_messages_have_three_fields() -> None:
    """What /v1/messages would drop without a word is residual there, and with it all the rest."""
    plain = {"temperature": 0.7, "top_k": 5, "top_p": 0.9}

    assert {"temperature": 0.7, "top_k": 5, "top_p": 0.9} == split(
        chain_of(plain), VLLM_MESSAGES
    ).native
    for extra in ({"min_p": 0.1}, {"presence_penalty": 1}, {"logit_bias": {5: 1}}):
        chain = chain_of({**plain, **extra})
        assert chain == split(chain, VLLM_MESSAGES).residual


@pytest.mark.parametrize(
    ("values", "target", "choice", "expected"),
    [
        ({"temperature": 0.7}, VLLM, "auto", ["vllm does the same, in the same order"]),
        ({"temperature": 0.7}, VLLM, "residual", ["forced: plan is residual"]),
        ({"temperature": 0.7}, TRANSFORMERS, "auto", ["runs in the processor on transformers"]),
        (
            {**GREEDY, "top_k": 3},
            VLLM,
            "auto",
            ["vllm does the same, in the same order", "temperature 0 leaves one token"],
        ),
        ({"temperature": 0.005}, VLLM, "auto", ["vLLM lifts (0, 0.01) to 0.01"]),
        ({"temperature": 2.5}, VLLM, "native", ["vLLM refuses a temperature above 2"]),
        ({"top_p": 0}, VLLM, "auto", ["vLLM refuses a top_p of 0"]),
        ({"logit_bias": {1: 101}}, VLLM, "auto", ["vLLM cuts biases to [-100, 100]"]),
        ({"top_p": 0.5, "min_p": 0.1}, VLLM, "auto", ["vllm applies min_p before top_p"] * 2),
        ({"min_p": 0.1}, VLLM_MESSAGES, "auto", ["vllm /v1/messages has no min_p"]),
        (
            {"presence_penalty": 1, **TEXTBOOK},
            VLLM,
            "auto",
            [
                "vllm does the same, before the processor",
                *["vllm applies temperature before top_k"] * 3,
            ],
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_every_decision_has_its_reason(
    values: dict[str, Any], target: Target, choice: Any, expected: list[str]
) -> None:
    """The reason names the engine and what it would do else."""
    plan = split(chain_of(values), target, choice)

    assert expected == [decision.reason for decision in plan.decisions]


def test_a_platform_is_named_in_the_reason() -> None:
    """Where the op is faster, the reason says faster than what, and where."""
    plan = split(chain_of({"top_p": 0.9}), VLLM, "auto", "cpu")

    assert ["measured faster than vllm's top_p on cpu"] == [d.reason for d in plan.decisions]


def test_native_fields_are_those_of_the_chain_or_neutral() -> None:
    """A field is set where its stage is native; idle and residual stages leave it neutral."""
    plan = split(
        chain_of({"logit_bias": {5: -100, 7: 2}, "presence_penalty": 1, **GREEDY, "top_k": 3}), VLLM
    )

    assert {
        "logit_bias": {5: -100.0, 7: 2.0},
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 1.0,
        "temperature": 0.0,
        "min_p": 0.0,
        "top_k": 0,
        "top_p": 1.0,
    } == plan.native


@given(
    ANY_PRESET,
    st.sampled_from([*TARGETS.values(), VLLM_MESSAGES]),
    st.sampled_from(CHOICES),
    st.sampled_from([None, "cpu", "cuda"]),
)
def test_a_plan_is_the_chain(
    values: dict[str, Any], target: Target, choice: Any, platform: str | None
) -> None:
    """The decisions are the chain, in order; every field of the engine is set, and no other."""
    chain = chain_of(values)
    plan = split(chain, target, choice, platform)

    assert chain.steps == tuple(decision.step for decision in plan.decisions)
    assert set(target.fields) == set(plan.native)
    assert {"native", "residual", "idle"} >= {decision.side for decision in plan.decisions}
    assert len(chain.steps) == sum(len(plan.side(s).steps) for s in ("native", "residual", "idle"))
    assert all(decision.reason for decision in plan.decisions)


# A small model of an engine, to see that a plan gives the distribution that the chain says.
PROMPT, OUTPUT = [4], [0, 0, 2]
SAMPLES: dict[str, list[Any]] = {
    "logit_bias": [((1, 2.0),), ((3, 150.0),)],
    "repetition_penalty": [1.3],
    "frequency_penalty": [0.7],
    "presence_penalty": [-0.9],
    "temperature": [0.0, 0.005, 0.6, 1.7, 2.5],
    "top_k": [1, 3],
    "top_p": [0.0, 0.31, 0.77],
    "min_p": [0.03, 0.21],
}


def run(chain: Chain, logits: list[float]) -> list[float]:
    return softmax(reference.chain(logits, chain, PROMPT, OUTPUT))


def run_by_engine(plan: Plan, logits: list[float]) -> list[float]:
    """The native stages in the engine's order, with the residual ones where the processor runs."""
    native = {step.stage: step for step in plan.side("native").steps}
    order = plan.target.order
    early = [native[name] for name in order if name in native and name in plan.target.before]
    late = [native[name] for name in order if name in native and name not in plan.target.before]
    return run(Chain((*early, *plan.residual.steps, *late)), logits)


@examples(400)
@given(
    values=st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in SAMPLES.items()}),
    order=st.one_of(st.just([]), ORDERS),
    tenths=st.lists(st.integers(-40, 40), min_size=6, max_size=6, unique=True),
    target=st.sampled_from([VLLM, VLLM_MESSAGES, TRANSFORMERS]),
    choice=st.sampled_from(CHOICES),
    platform=st.sampled_from([None, "cpu"]),
)
def test_a_plan_gives_the_distribution_of_the_chain(
    *,
    values: dict[str, Any],
    order: list[str],
    tenths: list[int],
    target: Target,
    choice: Any,
    platform: str | None,
) -> None:
    """Whatever is native, in whatever order: the tokens and probabilities are the chain's."""
    chain = Chain.of(values, order)
    logits = [tenth / 10 for tenth in tenths]
    expected = run(chain, logits)
    actual = run_by_engine(split(chain, target, choice, platform), logits)

    assert expected == pytest.approx(actual, abs=1e-9)


def test_a_wrong_order_would_be_seen() -> None:
    """The model of an engine tells min_p before top_p from min_p after it."""
    chain = chain_of({"top_p": 0.7, "min_p": 0.35})
    logits = [math.log(p) for p in (0.4, 0.2, 0.15, 0.13, 0.12)]
    natively = Plan(VLLM, tuple(split(chain, VLLM, "residual").decisions))
    backwards = Chain(tuple(reversed(chain.steps)))

    assert run(chain, logits) == run_by_engine(natively, logits)
    assert run(chain, logits) != run(backwards, logits)
