"""The presets that are exported, and how far a program's probabilities are from `process`'s."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from scripts.lib.fetch_model import fetch
from transformers import AutoTokenizer

from temperament import Catalogue, process
from temperament.interchange import Note, export
from temperament.presets import Preset, as_preset

VOCABULARY = 49_152

# stage -> a preset that uses it
STAGES: Mapping[str, Mapping[str, Any]] = {
    "temperature": {"temperature": 1.7},
    "dynamic_temperature": {"dynatemp_low": 0.5, "dynatemp_high": 2.0},
    "top_k": {"top_k": 7},
    "top_p": {"top_p": 0.8},
    "min_p": {"min_p": 0.02},
    "typical_p": {"typical_p": 0.7},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "epsilon_cutoff": {"epsilon_cutoff": 0.002},
    "eta_cutoff": {"eta_cutoff": 0.002},
    "top_h": {"top_h": 0.4},
    "xtc": {"xtc_probability": 1.0, "xtc_threshold": 0.05, "xtc_protect_structure": False},
    "xtc, structure protected": {"xtc_probability": 1.0, "xtc_threshold": 0.05},
    "repetition_penalty": {"repetition_penalty": 1.3},
    "frequency_penalty": {"frequency_penalty": 0.7},
    "presence_penalty": {"presence_penalty": 0.7},
    "dry": {"dry_multiplier": 0.8, "dry_protect_ends": False, "dry_sequence_breakers": ["\n"]},
    "dry, ends protected": {"dry_multiplier": 0.8, "dry_sequence_breakers": ["\n"]},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "mirostat": {"mirostat": 2, "mirostat_tau": 1.0},
    "adaptive_p": {"adaptive_target": 0.3},
    "logit_bias": {"logit_bias": {260: 2.5, 28: -1.0}},
    "suppress_tokens": {"suppress_tokens": [260]},
    "top_k, top_p, temperature": {
        "top_k": 40, "top_p": 0.9, "temperature": 1.5,
        "order": ["top_k", "top_p", "temperature"],
    },
    "temperature, top_k, top_p": {
        "temperature": 1.5, "top_k": 8, "top_p": 0.9,
        "order": ["temperature", "top_k", "top_p"],
    },
    "temperature, top_p, top_k": {
        "temperature": 1.5, "top_k": 8, "top_p": 0.9,
        "order": ["temperature", "top_p", "top_k"],
    },
    "temperature, top_p, min_p": {
        "temperature": 1.5, "top_p": 0.9, "min_p": 0.01,
        "order": ["temperature", "top_p", "min_p"],
    },
}  # fmt: skip


def presets() -> dict[str, Preset]:
    """The presets by stage."""
    return {stage: as_preset(values, Catalogue({})) for stage, values in STAGES.items()}


# A program's probabilities of a step with a file's text, by token.
Drawn = Callable[[str], torch.Tensor]


class Program(NamedTuple):
    """A program's version, and its largest difference for each stage.

    A stage that the program's format can't say has the reason.
    """

    version: str
    differences: dict[str, Any]


class File(NamedTuple):
    """A preset's file, the notes on it, and why it can't be compared (empty if it can)."""

    text: str
    notes: list[Note]
    lacking: str


def exported(name: str, lacks: Collection[str] = ()) -> Iterator[tuple[str, Preset, File]]:
    """Each stage with its preset and file.

    `lacks` are stages that the format says and the program behind it doesn't have.
    """
    for stage, preset in presets().items():
        text, notes = export(preset, name)
        lost = [note.name for note in notes if note.kind == "lost"]
        if stage in lacks or lost not in ([], ["order"]):
            yield stage, preset, File(text, notes, "lost")
        else:
            yield stage, preset, File(text, notes, "order" if lost else "")


def measured(
    name: str,
    drawn: Drawn,
    logits: torch.Tensor,
    tokens: list[int],
    *,
    lacks: Collection[str] = (),
) -> dict[str, Any]:
    """The largest difference for each stage; a reason where the program can't be compared."""
    tokenizer = AutoTokenizer.from_pretrained(fetch("smollm2"))
    results: dict[str, Any] = {}
    for stage, preset, file in exported(name, lacks):
        if file.lacking:
            results[stage] = file.lacking
            continue
        theirs = drawn(file.text)
        ours = process(logits[None], preset, output_ids=[tokens], seeds=[1], tokenizer=tokenizer)
        results[stage] = float((theirs - ours[0].softmax(-1)).abs().max())
    return results


def drawn_logits() -> tuple[torch.Tensor, list[int]]:
    """Logits like a model's, and the tokens before them."""
    generator = torch.Generator().manual_seed(3)
    tokens = [260, 28, 260, 28, 5, 6, 260, 28, 5]
    return torch.randn(VOCABULARY, generator=generator) * 3, tokens
