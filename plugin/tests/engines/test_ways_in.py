"""The same layers are sampled with in the same way, whichever way they come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from transformers import PretrainedConfig

import temperament
from temperament import Catalogue, Preset, Run
from temperament.batch import process as processing
from temperament.plan import decode, encode, split_preset
from temperament.plan.targets import VLLM
from temperament.plan.wire import KEY
from temperament.presets import as_preset
from temperament.presets.resolve import OnePreset, resolve
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.studio import local
from tests.small_tokenizers import byte_level

QWEN, DEEPSEEK = "Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-V3"
SHIPPED = Catalogue.load(environment=False)
TURN: Mapping[str, Any] = {
    "modes": {"a": {"temperature": 1.5}, "b": {"top_k": 5}},
    "switch": [{"from": ["a"], "on": {"tokens": 5}, "to": "b"}],
    "top_p": 0.9,
}

BOLD: Mapping[str, Any] = {
    "modes": {"a": {"extends": "creative"}, "b": {"extends": "chat"}},
    "switch": [{"from": ["a"], "on": {"tokens": 5}, "to": "b"}],
    "min_p": 0.1,
}


class Layers(NamedTuple):
    """What a request, a call and a model bring, and the values of each mode's chain."""

    preset: Any
    expected: dict[str, Any]
    fields: Mapping[str, Any] = {}
    model_values: Mapping[str, Any] = {}
    model: str = QWEN
    order: tuple[str, ...] = ()


CASES = {
    "a named preset": Layers("chat", {"": {"temperature": 0.6}}),
    "a factor on a named preset": Layers(
        "chat", {"": {"temperature": 0.72}}, {"temperature": {"scale": 1.2}}
    ),
    "a factor on a preset that cuts": Layers(
        {"min_p": 0.1}, {"": {"temperature": 1.8, "min_p": 0.1}}, {"temperature": {"scale": 3}}
    ),
    "the recommended values": Layers(
        "recommended", {"": {"temperature": 0.6, "top_k": 20, "top_p": 0.95}}
    ),
    "a factor in a preset": Layers(
        "warmer", {"": {"temperature": 0.72, "top_k": 20, "top_p": 0.95}}
    ),
    "a number instead of a preset's factor": Layers(
        "warmer",
        {
            "": {
                "repetition_penalty": 1.1,
                "repetition_range": 0,
                "temperature": 0.9,
                "top_k": 20,
                "top_p": 0.95,
            }
        },
        {"temperature": 0.9},
        {"repetition_penalty": 1.1, "temperature": 0.3},
    ),
    "a section for the model": Layers(
        {"temperature": 0.9, "models": {"qwen3*": {"temperature": 0.4, "top_k": 7}}},
        {"": {"temperature": 0.4, "top_k": 7, "top_p": 0.5}},
        {"top_p": 0.5},
    ),
    "a scale of temperatures, on a model without a family": Layers(
        "creative", {"": {"temperature": 0.8}}, model="someone/something"
    ),
    "a temperature that is 1 on its scale": Layers("data", {"": {"temperature": 0.3}}),
    "a number as it stands": Layers(
        "chat",
        {"": {"temperature": 1.3, "top_k": 20, "top_p": 0.95}},
        {"temperature_scale": "weights"},
    ),
    "a scale that is named twice": Layers(
        {"extends": "chat", "temperature_scale": "deepseek-api"},
        {"": {"temperature": 0.6}},
        {"temperature_scale": "deepseek-api"},
        model=DEEPSEEK,
    ),
    "a bare number": Layers("chat", {"": {"temperature": 1.3}}, {"temperature": 1.3}),
    "a scale without a number": Layers(
        {"top_p": 0.9},
        {"": {"temperature": 0.7, "top_p": 0.9}},
        {"temperature_scale": "deepseek-api"},
        {"temperature": 0.7},
    ),
    "a schedule on a scale": Layers(
        {"temperature_scale": "deepseek-api"},
        {"": {"temperature": (0.8, 0.3, 9, "linear")}},
        {
            "temperature": {"from": 1.5, "to": 1.0, "over": 9},
            "temperature_scale": "deepseek-api",
        },
    ),
    "modes on a scale": Layers(
        BOLD, {"a": {"temperature": 0.8, "min_p": 0.1}, "b": {"temperature": 0.6, "min_p": 0.1}}
    ),
    "modes as they stand": Layers(
        BOLD,
        {"a": {"temperature": 1.5, "min_p": 0.1}, "b": {"temperature": 1.3, "min_p": 0.1}},
        {"temperature_scale": "weights"},
    ),
    "a scale of temperatures": Layers(
        {"temperature": 1.3, "temperature_scale": "deepseek-api"},
        {"": {"temperature": 0.6}},
        model=DEEPSEEK,
    ),
    "a number over a scale": Layers(
        {"temperature": 1.3, "temperature_scale": "deepseek-api"},
        {"": {"temperature": 1.3}},
        {"temperature": 1.3},
        model=DEEPSEEK,
    ),
    "truncation of the model's vendor": Layers(
        {"temperature": 1.5}, {"": {"temperature": 1.5, "top_k": 20, "top_p": 0.95}}
    ),
    "a neutral value undoes": Layers(
        {"top_k": 40, "top_p": 0.9},
        {"": {"top_p": 0.9}},
        {"top_k": 0, "min_p": 0},
        {"top_k": 20, "min_p": 0.1},
    ),
    "a schedule": Layers(
        {"top_p": 0.9},
        {"": {"temperature": (1.2, 0.6, 9, "linear"), "top_p": 0.9}},
        {"temperature": {"from": 1.2, "to": 0.6, "over": 9}},
    ),
    "as Transformers writes": Layers(
        {"forced_eos_token_id": 2, "sequence_bias": [[[1, 2], -1.5]], "top_k": 40.0},
        {
            "": {
                "sequence_bias": (((1, 2), -1.5),),
                "forced_eos_token_id": (2,),
                "top_k": 40,
            }
        },
    ),
    "whole numbers as floats": Layers(
        {"adaptive_target": -1.0, "no_repeat_ngram_size": 3.0},
        {"": {"no_repeat_ngram_size": 3, "top_k": 7}},
        {"top_k": 7.0},
    ),
    "none": Layers(
        "none",
        {"": {"min_p": 0.1}},
        {"min_p": 0.1},
        {"temperature": 0.6, "top_k": 20, "top_p": 0.9},
    ),
    "modes": Layers(
        TURN,
        {"a": {"temperature": 1.5, "top_p": 0.9}, "b": {"top_k": 5, "top_p": 0.9}},
    ),
    "fields on a preset with modes": Layers(
        TURN,
        {
            "a": {"temperature": 0.3, "top_p": 0.9},
            "b": {"temperature": 0.3, "top_k": 5, "top_p": 0.9},
        },
        {"temperature": 0.3, "order": ["top_p", "top_k", "temperature"]},
        order=("top_p", "top_k", "temperature"),
    ),
    "a factor on a preset with modes": Layers(
        TURN,
        {
            "a": {"temperature": 0.72, "top_p": 0.9},
            "b": {"temperature": 0.72, "top_k": 5, "top_p": 0.9},
        },
        {"temperature": {"scale": 1.2}},
    ),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def layers(request: pytest.FixtureRequest) -> Layers:
    """One case."""
    case: Layers = request.param
    return case


def of_server(case: Layers) -> Preset:
    """What a server's request carries to the workers."""
    admission = Admission(
        SHIPPED.for_model(case.model),
        model_defaults=as_preset(case.model_values, Catalogue({})),
        choice="residual",
    )
    body = {"preset": case.preset, **case.fields}
    admitted = admission.admit(body, None, ENDPOINTS["/v1/chat/completions"])
    assert admitted is not None
    return decode(admitted.body["vllm_xargs"][KEY])


def of_offline(case: Layers) -> Preset:
    """What a request of `LLM.generate` carries to the workers."""
    params = temperament.vllm.sampling_params(
        case.preset,
        model=case.model,
        model_defaults=case.model_values,
        catalogue=SHIPPED,
        plan="residual",
        **case.fields,
    )
    assert params.extra_args is not None
    return decode(params.extra_args[KEY])


def of_generate(case: Layers) -> Preset:
    """What the processor of `model.generate` runs."""
    values = SimpleNamespace(**case.model_values)
    model = SimpleNamespace(
        config=PretrainedConfig(name_or_path=case.model), generation_config=values
    )
    kwargs = temperament.transformers.generate_kwargs(on_top(case), model=model, catalogue=SHIPPED)
    preset: Preset = kwargs["logits_processor"][0].presets[0]
    return preset


def of_run(case: Layers) -> Preset:
    """What a decoding loop of one's own runs."""
    return Run(resolved(case), prompt_ids=[[1]], catalogue=SHIPPED).presets[0]


def of_process(case: Layers) -> Preset:
    """What one step of a decoding loop of one's own runs."""

    def step() -> None:
        logits, preset = torch.zeros(1, 8), resolved(case)
        temperament.process(logits, preset, prompt_ids=[[1]], output_ids=[[2]], catalogue=SHIPPED)

    return run_of(processing, step)


def of_studio(case: Layers) -> Preset:
    """What the studio draws a text with on local weights."""
    defaults = as_preset(case.model_values, Catalogue({}))
    source = local.LocalModel("flat", FlatModel(), tokenizer(), defaults)
    preset = as_preset(on_top(case), SHIPPED.for_model(case.model))

    async def draw() -> None:
        async for _ in source.generate([1], preset, seed=1, max_tokens=1):
            pass

    return run_of(local, lambda: asyncio.run(draw()))


class FlatModel:
    """A model to which all tokens are equally likely."""

    device = torch.device("cpu")
    generation_config = SimpleNamespace(eos_token_id=None)

    def __call__(self, **_: Any) -> Any:
        return SimpleNamespace(logits=torch.zeros(1, 1, 8), past_key_values=None)


@cache
def tokenizer() -> Any:
    """A small tokenizer."""
    return byte_level()


def run_of(module: Any, act: Callable[[], object]) -> Preset:
    """The preset of the `Run` that a module creates."""
    created: list[Run] = []

    class Kept(Run):
        """A run that can be looked at afterwards."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            created.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "Run", Kept)
        act()
    return created[0].presets[0]


def of_wire(case: Layers) -> Preset:
    """What comes out of the wire format."""
    plan = split_preset(resolved(case), VLLM, "residual")
    return decode(encode(plan.residual, "x"))


def on_top(case: Layers) -> OnePreset:
    """The preset with the fields over it, for a way in that takes no fields beside presets."""
    if not case.fields:
        preset: OnePreset = case.preset
        return preset
    return resolve(case.preset, SHIPPED.for_model(case.model), fields=case.fields)


def resolved(case: Layers) -> Preset:
    """What the layers resolve to."""
    below = as_preset(case.model_values, Catalogue({}))
    catalogue = SHIPPED.for_model(case.model)
    return resolve(case.preset, catalogue, fields=case.fields, model_values=below)


WAYS = [of_server, of_offline, of_generate, of_run, of_process, of_studio, of_wire]


def test_the_values(layers: Layers) -> None:
    """`resolve` gives each mode the values and the order that the layers say."""
    preset = resolved(layers)

    assert layers.expected == {name: chain.values for name, chain in preset.chains.items()}
    assert layers.order == preset.order


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_samples_alike(layers: Layers, way: Any) -> None:
    """Chains (values and order), the first mode and the rules are those that `resolve` gives."""
    expected, actual = resolved(layers), way(layers)

    assert expected.chains == actual.chains
    assert expected.start == actual.start
    assert [rule.plain() for rule in expected.switch] == [rule.plain() for rule in actual.switch]


@pytest.mark.parametrize("name", ["recommended", "warmer", "creative", "chat"])
def test_notes_say_where_the_numbers_come_from(name: str) -> None:
    """They are the same by name, by `Preset` and with the model's values below."""
    catalogue = SHIPPED.for_model(QWEN)
    below = as_preset({"repetition_penalty": 1.1}, Catalogue({}))

    assert catalogue[name].reasons == as_preset(name, catalogue).reasons
    assert catalogue[name].reasons == as_preset(SHIPPED[name], catalogue).reasons
    assert catalogue[name].reasons == resolve(name, catalogue, model_values=below).reasons
