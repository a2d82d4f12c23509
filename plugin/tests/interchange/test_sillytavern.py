"""SillyTavern's presets: files, what they are read as, and what is written."""

import json
from typing import Any

import pytest

from temperament import Catalogue
from temperament.interchange import export
from temperament.interchange.llamacpp import SAMPLERS
from temperament.interchange.webui import PRIORITY
from temperament.presets import as_preset
from tests.interchange.files import Export, File, export_test, file_tests

FILES = [
    File(
        "sillytavern",
        "Mine.json",
        """{"temp": 1.25, "temperature_last": true, "top_p": 1, "top_k": 0, "min_p": 0.1,
        "tfs": 0.9, "epsilon_cutoff": 3, "rep_pen": 1.1, "rep_pen_range": 512, "rep_pen_slope": 0.9,
        "freq_pen": 0, "dynatemp": false, "min_temp": 0, "max_temp": 2, "nsigma": 1.5,
        "do_sample": true,
        "dry_multiplier": 0.8, "dry_penalty_last_n": 0, "add_bos_token": true, "genamt": 350,
        "dry_sequence_breakers": "[\\"\\\\n\\", \\":\\"]", "guidance_scale": 1,
        "sampler_order": [6, 0, 1, 3, 4, 2, 5]}""",
        {
            "order": ["top_n_sigma", "epsilon_cutoff", "tfs", "min_p", "temperature"],
            "repetition_penalty": 1.1, "repetition_range": 512, "frequency_penalty": 0.0,
            "dry_multiplier": 0.8, "dry_range": 0, "dry_sequence_breakers": ["\n", ":"],
            "temperature": 1.25, "top_k": 0, "top_p": 1.0, "min_p": 0.1, "epsilon_cutoff": 0.0003,
            "tfs": 0.9, "top_n_sigma": 1.5, "do_sample": True, "max_tokens": 350,
        },
        {("lost", "rep_pen_slope"), ("lost", "sampler_order")},
    ),
    File(
        "sillytavern",
        "Mine.json",
        """{"temp": 1, "rep_pen": 1.1, "rep_pen_range": -1, "dry_multiplier": 1,
        "dry_penalty_last_n": 1048576, "dry_sequence_breakers": "[]"}""",
        {
            "repetition_penalty": 1.1, "repetition_range": 0, "dry_multiplier": 1.0, "dry_range": 0,
            "dry_sequence_breakers": [], "temperature": 1.0,
        },
    ),
]  # fmt: skip
# What a file doesn't name keeps its value in the interface of 1.19.0 (run in scripts/programs).
OFF = {
    "temp": 1, "rep_pen": 1, "freq_pen": 0, "presence_pen": 0, "encoder_rep_pen": 1,
    "no_repeat_ngram_size": 0, "top_k": 0, "top_p": 1, "min_p": 0, "typical_p": 1, "tfs": 1,
    "top_a": 0, "nsigma": 0, "epsilon_cutoff": 0, "eta_cutoff": 0, "smoothing_factor": 0,
    "skew": 0, "mirostat_mode": 0, "xtc_probability": 0, "dry_multiplier": 0,
    "adaptive_target": -1, "dynatemp": False, "temperature_last": False, "banned_tokens": "",
    "logit_bias": [], "sampler_priority": [*PRIORITY], "samplers": [*SAMPLERS],
}  # fmt: skip
EXPORTS = [
    Export(
        "sillytavern",
        {"eta_cutoff": 0.0003, "epsilon_cutoff": 0.0001},
        {**OFF, "eta_cutoff": 3, "epsilon_cutoff": 1},
    ),
    Export(
        "sillytavern",
        {"repetition_penalty": 1.5},
        {**OFF, "rep_pen": 1.5, "rep_pen_range": 1048576},
    ),
    # llama.cpp b11549 and tabbyAPI turn penalties off at a window of 0, llama.cpp DRY too
    Export(
        "sillytavern",
        {"presence_penalty": 0.5},
        {**OFF, "presence_pen": 0.5, "rep_pen_range": 1048576},
    ),
    Export(
        "sillytavern",
        {"dry_multiplier": 0.5, "dry_sequence_breakers": ["a"]},
        {
            **OFF,
            "dry_multiplier": 0.5,
            "dry_base": 1.75,
            "dry_allowed_length": 2,
            "dry_penalty_last_n": 1048576,
            "dry_sequence_breakers": '["a"]',
        },
    ),
]
# the stages of a preset, and the beginning of the list that 1.19.0 sends to llama.cpp
LLAMAS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"top_k": 8, "temperature": 0.7, "min_p": 0.1, "order": ["top_k", "temperature", "min_p"]},
        ["penalties", "dry", "top_k", "temperature", "min_p"],
    ),
    (
        {"adaptive_target": 0.4, "temperature": 0.7},
        ["penalties", "dry", "temperature", "top_n_sigma"],
    ),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)


@pytest.mark.parametrize(("values", "begin"), LLAMAS)
def test_the_order_for_llama_cpp(values: dict[str, Any], begin: list[str]) -> None:
    """The order stands in the list that SillyTavern 1.19.0 sends to llama.cpp, too."""
    text, _ = export(as_preset(values, Catalogue({})), "sillytavern")
    samplers = json.loads(text)["samplers"]

    assert begin == samplers[: len(begin)]
    assert sorted(SAMPLERS) == sorted(samplers)
    assert "adaptive_p" == samplers[-1]
