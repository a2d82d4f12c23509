"""Several presets on one prompt: as numbers, as JSON, in a terminal, as a figure."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from temperament import process
from temperament.plan.unseen import blind_to_embeddings
from temperament.presets import Catalogue
from temperament.stages import BY_NAME
from temperament.studio.figures import draw_inspection
from temperament.studio.inspection import Inspection, as_json, inspect
from temperament.studio.terminal import bar, show
from tests.studio.known import KnownSource, preset

CUTS = {"temperature": 0.5, "top_k": 3, "top_p": 0.9}


@pytest.fixture
def looked(known: KnownSource) -> Inspection:
    return asyncio.run(inspect(known, [preset(**CUTS), preset(temperature=2)], "ab", top=4))


def test_it_asks_the_model_once(known: KnownSource) -> None:
    """However many presets there are, a prompt costs one forward pass."""
    asyncio.run(inspect(known, [preset(), preset(top_k=1), preset(top_k=2)], "abc"))

    assert [[2, 3, 4]] == known.asked


def test_the_models_own_values_lie_below() -> None:
    """What the model's generation_config sets counts where the preset says nothing of it."""
    source = KnownSource(preset(top_k=2, temperature=0.5))
    looked = asyncio.run(inspect(source, [preset(temperature=2)], "a"))
    [way] = as_json(looked)["presets"]

    assert ["", "temperature", "top_k"] == [stage["stage"] for stage in way["stages"]]
    assert {"temperature": 2} == way["stages"][1]["values"]


def test_the_json(looked: Inspection) -> None:
    """The JSON has the numbers of every stage, and the probabilities of the shown tokens."""
    written = json.loads(json.dumps(as_json(looked)))
    first, second = written["presets"]
    model, temperature, top_k, top_p = first["stages"]

    assert [{"id": 0, "text": "cat"}, {"id": 1, "text": "dog"}] == written["tokens"][:2]
    assert (1.0, [2, 3], "known") == (written["seen"], written["prompt_ids"], written["model"])
    assert pytest.approx([0.4, 0.3, 0.15, 0.1]) == model["probabilities"]
    assert (
        pytest.approx([p**2 / 0.285 for p in (0.4, 0.3, 0.15, 0.1)]) == temperature["probabilities"]
    )
    assert (2, ["fish", "horse"]) == (top_k["removed"], top_k["removed_tokens"])
    assert [None] == top_k["probabilities"][3:]
    assert (2, 1, ["bird"]) == (top_p["kept"], top_p["removed"], top_p["removed_tokens"])
    assert ["", "temperature"] == [stage["stage"] for stage in second["stages"]]


def test_the_terminal(looked: Inspection) -> None:
    """Each stage has its numbers and its bars; a removed token is marked as removed."""
    text = show(looked, width=100)

    assert "the model" in text
    assert "top_k removed: fish  horse" in text
    assert "temperature=0.5" in text
    assert f"{bar(0.4)}  0.4000".replace("  0.4", " 0.4") in text
    assert "removed" in next(line for line in text.splitlines() if line.startswith("fish"))
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("width", [40, 60, 200])
def test_any_width_shows_every_stage(looked: Inspection, width: int) -> None:
    """Stages that don't fit beside each other stand below each other."""
    text = show(looked, width=width)

    assert all(len(line) <= width for line in text.splitlines())
    assert sum(line.startswith("fish") for line in text.splitlines()) >= 2


def test_a_preset_with_modes(known: KnownSource) -> None:
    """Each mode has its own stages, beside each other."""
    modes = {"calm": {"temperature": 0.5}, "wild": {"temperature": 2, "top_k": 3}}
    rule = {"from": "calm", "on": {"tokens": 5}, "to": "wild"}
    moody = preset(modes=modes, start="calm", switch=[rule])
    looked = asyncio.run(inspect(known, [moody], "a"))
    ways = as_json(looked)["presets"]

    assert ["calm", "wild"] == [way["mode"] for way in ways]
    assert ["", "temperature", "top_k"] == [stage["stage"] for stage in ways[1]["stages"]]
    assert "mode wild" in show(looked, width=100)


def test_what_a_server_does_not_tell_is_said() -> None:
    """If the source knows only a part of the mass, the table begins with it."""
    looked = asyncio.run(inspect(KnownSource(seen=0.93), [preset()], "a"))

    assert "93.0%" in show(looked, width=200)


def test_stages_that_need_logits_say_when_they_are_missing() -> None:
    """Over log-probabilities, a stage that reads a logit's sign is marked as inexact."""
    source = KnownSource()
    source.absolute = False
    penalised = preset(repetition_penalty=1.2, temperature=0.5)
    looked = asyncio.run(inspect(source, [penalised], "a"))
    other = asyncio.run(inspect(source, [preset(top_p=0.5)], "a"))

    assert (["repetition_penalty"], []) == (looked.inexact, other.inexact)
    assert "of repetition_penalty are near" in show(looked, width=200)
    assert "near" not in show(other, width=200)


CHAINS: dict[str, dict[str, Any]] = {
    name: {name: 0.5} for name in ("top_p", "min_p", "typical_p", "epsilon_cutoff", "top_a")
}
CHAINS |= {
    "eta_cutoff": {"eta_cutoff": 0.3},
    "temperature": {"temperature": 0.7},
    "top_k": {"top_k": 2},
    "tfs": {"tfs": 0.5},
    "top_n_sigma": {"top_n_sigma": 0.7},
    "top_h": {"top_h": 0.5},
    "p_less": {"p_less": True},
    "skew": {"skew": 0.5},
    "xtc": {"xtc_probability": 1, "xtc_protect_structure": False},
    "dynamic_temperature": {"dynatemp_low": 0.5, "dynatemp_high": 2},
    "smoothing": {"smoothing_factor": 0.5},
    "mirostat": {"mirostat": 2},
    "adaptive_p": {"adaptive_target": 0.3},
    "frequency_penalty": {"frequency_penalty": 1},
    "presence_penalty": {"presence_penalty": 1},
    "repetition_penalty": {"repetition_penalty": 1.3},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.3},
    "dry": {
        "dry_multiplier": 1,
        "dry_allowed_length": 1,
        "dry_sequence_breakers": [],
        "dry_protect_ends": False,
    },
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 1},
    "logit_bias": {"logit_bias": {1: 2}},
    "sequence_bias": {"sequence_bias": [[[1, 2], 1.0]]},
    "bad_words_ids": {"bad_words_ids": [[2, 1]]},
    "allowed_token_ids": {"allowed_token_ids": [1, 2]},
    "suppress_tokens": {"suppress_tokens": [0]},
    "renormalize_logits": {"renormalize_logits": True},
}


@pytest.mark.parametrize("name", CHAINS)
def test_only_the_named_stages_need_logits(name: str) -> None:
    """A constant added to all logits changes only what stages with `reads_sign` do."""
    logits = torch.tensor([2.0, 1.5, -0.5, -1.0, 0.5])
    texts = {"prompt_ids": [0, 1, 2], "output_ids": [1, 2, 0, 1]}
    chain = preset(**CHAINS[name]).chain
    assert [name] == list(chain.names)
    one, other = (
        process(
            shifted[None],
            CHAINS[name],
            prompt_ids=[texts["prompt_ids"]],
            output_ids=[texts["output_ids"]],
            seeds=[1],
            catalogue=Catalogue({}),
        ).softmax(-1)
        for shifted in (logits, logits - 3)
    )
    same = torch.allclose(one, other, atol=1e-5)

    assert (not BY_NAME[name].reads_sign) == same


@pytest.mark.parametrize("name", CHAINS)
def test_stages_that_read_the_prompt_say_so(name: str) -> None:
    """Other tokens in the prompt, as many, change only what stages with `reads_prompt` do."""
    chain = preset(**CHAINS[name]).chain
    results = {
        tuple(
            process(
                torch.tensor([[2.0, 1.5, -0.5, -1.0, 0.5]] * 2),
                CHAINS[name],
                prompt_ids=[prompt] * 2,
                output_ids=[[], [1]],
                seeds=[1, 1],
                catalogue=Catalogue({}),
            )
            .flatten()
            .tolist()
        )
        for prompt in ([0, 0, 0], [1, 2, 1], [2, 3, 2])
    }

    assert BY_NAME[name].reads_prompt(chain.values) == (len(results) > 1)


def test_single_tokens_are_matched_without_the_prompt() -> None:
    """Sequences of one token need no prompt, so nothing warns that it can't be seen."""
    values = {"bad_words_ids": [[3]], "sequence_bias": [[[3], 1.0]]}

    assert "" == blind_to_embeddings(preset(**values))
    assert (
        "bad_words_ids, sequence_bias: can't see a prompt in prompt_embeds"
        == blind_to_embeddings(preset(bad_words_ids=[[3, 4]], sequence_bias=[[[3, 4], 1.0]]))
    )


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, ""), (1e-9, "▏"), (0.5, "████"), (1, "████████"), (0.53, "████▎")],
)
def test_a_bar(share: float, expected: str) -> None:
    """A bar has eight columns in eighths, and what is possible shows."""

    assert expected.ljust(8) == bar(share)


@pytest.mark.parametrize("name", ["i.png", "i.svg"])
def test_the_figure(looked: Inspection, name: str, tmp_path: Path) -> None:
    """The same inspection gives the same bytes of either kind."""
    pictures = []
    for _ in range(2):
        draw_inspection.draw(looked, str(tmp_path / name))
        pictures.append((tmp_path / name).read_bytes())

    assert pictures[0].startswith((b"\x89PNG", b"<?xml"))
    assert pictures[0] == pictures[1]
