"""Small files that mean in their program what the preset says; each case names the version.

The programs' sources were read in these versions; what could be run is in `scripts/programs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.interchange import FORMATS, export, read
from temperament.presets import as_preset

OLLAMA = "Ollama 0.33.0"
LLAMACPP = "llama.cpp b11549"
SILLYTAVERN = "SillyTavern 1.19.0"
WEBUI = "text-generation-webui 4.7.3"
TABBYAPI = "tabbyAPI of 2026-08-13"
KOBOLDCPP = "KoboldCpp 1.76"
LITELLM = "LiteLLM 1.110.2"
TRANSFORMERS = "Transformers 5.19.0"
VLLM = "vLLM 0.32.0"
LMSTUDIO = "LM Studio by lmstudio-js"


@dataclass(frozen=True)
class Case:
    """A text and its preset; `notes` are the kinds and names of all notes on losses and defaults.

    `format` is empty for a text that must be recognised.
    """

    program: str
    what: str
    format: str
    text: str
    preset: dict[str, Any]
    notes: set[tuple[str, str]] = field(default_factory=set)


WEIGHTS = "FROM ./model.gguf\n"
OLLAMAS = {
    "order": ["top_k", "top_p", "temperature"],
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
}
OLLAMAS_NOTES = {("default", name) for name in OLLAMAS if name != "order"}
LLAMAS = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
LLAMAS_JSON = '"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0'

CASES = [
    # 1: off values, and whole numbers written as floats
    Case(
        SILLYTAVERN, "its default target is off", "",
        '{"temp": 1, "rep_pen": 1, "adaptive_target": -0.01}',
        {"repetition_penalty": 1.0, "temperature": 1.0, "adaptive_target": -1.0},
    ),
    Case(TABBYAPI, "a target of 1.0 is off", "", "adaptive_target: {override: 1.0}",
         {"adaptive_target": -1.0}),
    Case(WEBUI, "a target of 0 is off", "webui", "adaptive_target: 0", {"adaptive_target": -1.0}),
    Case(WEBUI, "a target below 0 is off", "webui", "adaptive_target: -0.5",
         {"adaptive_target": -1.0}),
    Case(
        KOBOLDCPP, "whole numbers as floats", "",
        '{"sampler_order": [6.0, 5.0, 0.0, 1.0, 2.0, 3.0, 4.0], "top_k": 40.0, "top_p": 1,'
        ' "temperature": 1, "max_length": 9.0, "sampler_seed": 3.0}',
        {"top_k": 40, "top_p": 1.0, "temperature": 1.0, "max_tokens": 9, "seed": 3},
    ),
    Case(LLAMACPP, "whole numbers as floats", "llamacpp-args",
         "--top-k 40.0 --top-p 1 --min-p 0 --temp 1 -n 9.0",
         {"top_k": 40, "top_p": 1.0, "min_p": 0.0, "temperature": 1.0, "max_tokens": 9}),
    # 2 and 14: defaults
    Case(OLLAMA, "a model's own parameters are unknown", "", "FROM llama3.2\nPARAMETER top_k 5",
         {"top_k": 5}),
    Case(OLLAMA, "weights have its defaults, and no penalty", "", WEIGHTS, OLLAMAS, OLLAMAS_NOTES),
    Case(OLLAMA, "no window turns the penalties off", "", f"{WEIGHTS}PARAMETER repeat_last_n 0",
         OLLAMAS, OLLAMAS_NOTES),
    Case(OLLAMA, "a penalty without a window is off", "",
         "FROM m\nPARAMETER repeat_penalty 1.2\nPARAMETER repeat_last_n 0", {},
         {("lost", "repeat_penalty")}),
    Case(LLAMACPP, "a penalty without a window is off", "llamacpp",
         f'{{{LLAMAS_JSON}, "presence_penalty": 0.5, "repeat_last_n": 0}}',
         {"temperature": 1.0, **LLAMAS}, {("lost", "presence_penalty")}),
    Case(
        OLLAMA, "the window is 64", "", "FROM llama3.2\nPARAMETER repeat_penalty 1.2",
        {"repetition_penalty": 1.2, "repetition_range": 64}, {("default", "repeat_last_n")},
    ),
    Case(
        LLAMACPP, "the windows are 64", "llamacpp",
        f'{{{LLAMAS_JSON}, "repeat_penalty": 1.2, "dry_multiplier": 0.5}}',
        {"repetition_penalty": 1.2, "repetition_range": 64, "dry_multiplier": 0.5, "dry_range": 64,
         "dry_protect_ends": False, "temperature": 1.0, **LLAMAS},
        {("default", "repeat_last_n"), ("default", "dry_penalty_last_n")},
    ),
    Case(
        KOBOLDCPP, "the windows are 320", "koboldcpp",
        '{"temperature": 1, "top_k": 0, "top_p": 1, "rep_pen": 1.1, "dry_multiplier": 1}',
        {"repetition_penalty": 1.1, "repetition_range": 320, "dry_multiplier": 1.0,
         "dry_protect_ends": False, "dry_range": 320, "temperature": 1.0, "top_k": 0, "top_p": 1.0},
        {("default", "rep_pen_range"), ("default", "dry_penalty_last_n")},
    ),
    Case(OLLAMA, "a window alone is for a penalty that the model may have", "",
         "FROM llama3.2\nPARAMETER repeat_last_n 32", {}, {("lost", "repeat_last_n")}),
    Case(
        LMSTUDIO, "a threshold alone is for a probability that the model may have", "lmstudio",
        '{"operation": {"fields": [{"key": "llm.prediction.llama.xtcThreshold", "value": 0.2}]}}',
        {}, {("lost", "llm.prediction.llama.xtcThreshold")},
    ),
    Case(
        LMSTUDIO, "a threshold beside a probability of 0 is off", "lmstudio",
        '{"operation": {"fields": [{"key": "llm.prediction.llama.xtcThreshold", "value": 0.2},'
        ' {"key": "llm.prediction.llama.xtcProbability", "value": {"checked": false}}]}}',
        {"xtc_probability": 0.0},
    ),
    # 3: Ollama's order
    Case(
        OLLAMA, "the temperature is the last", "",
        "FROM m\nPARAMETER temperature 2\nPARAMETER top_p 0.5\nPARAMETER typical_p 0.4\n"
        "PARAMETER min_p 0.1\nPARAMETER top_k 9",
        {"order": ["top_k", "typical_p", "top_p", "min_p", "temperature"], "temperature": 2.0,
         "top_k": 9, "top_p": 0.5, "min_p": 0.1, "typical_p": 0.4},
    ),
    Case(OLLAMA, "mirostat is ignored", "", "FROM m\nPARAMETER mirostat 2", {},
         {("lost", "mirostat")}),
    # 4: Ollama's quotes
    Case(OLLAMA, "there are no escapes", "", 'FROM m\nPARAMETER stop "\\n\\n"',
         {"stop": ["\\n\\n"]}),
    Case(OLLAMA, "quotes go on over lines", "", 'FROM m\nPARAMETER stop "a\n\nb"\n# c\nSYSTEM x',
         {"stop": ["a\n\nb"]}),
    Case(OLLAMA, "a number may be quoted", "", 'FROM m\nPARAMETER temperature "0.5"',
         {"temperature": 0.5}),
    # 5: INI
    Case(LLAMACPP, "a value ends at a semicolon", "llamacpp-ini",
         "[*]\nsamplers = top_k;temperature\ntop-k = 5\ntemp = 2\n",
         {"top_k": 5}, {("lost", "temperature")}),
    Case(
        LLAMACPP, "a comment may follow", "llamacpp-ini",
        "[*]\nmin-p = 0.0 ; note\ntop-p = 1 # note\nLLAMA_ARG_TOP_K = 0\ntemp = 1",
        {"temperature": 1.0, **LLAMAS},
    ),
    Case(LLAMACPP, "texts have escapes", "llamacpp-ini",
         "[*]\nsampler-seq = t\ntemp = 1\nreverse-prompt = a\\nb\\x3b\\q",
         {"temperature": 1.0, "stop": ["a\nb;\\q"]}),
    Case(
        LLAMACPP, "keys are read by name, and samplers after sampler-seq", "llamacpp-ini",
        "[*]\nsamplers = temperature\nsampler-seq = k\ntemperature = 2\ntemp = 1\n"
        "top-k = 7\n",
        {"temperature": 2.0}, {("lost", "top_k")},
    ),
    Case(LLAMACPP, "a key comes after the one of the environment", "llamacpp-ini",
         "[*]\ntop-k = 7\nLLAMA_ARG_TOP_K = 5\nsamplers = top_k\n", {"top_k": 7}),
    Case(
        LLAMACPP, "a section's option stands above that of all", "llamacpp-ini",
        "[*]\ntop-k = 3\nsamplers = top_k\n[m]\nLLAMA_ARG_TOP_K = 5\n", {"top_k": 5},
    ),
    # 6: the command line
    Case(
        LLAMACPP, "an underscore is a dash", "",
        "--top_k 20 --repeat_penalty 1.1 --repeat-last-n 32 --temp 1 --top-p 1 --min-p 0",
        {"repetition_penalty": 1.1, "repetition_range": 32, "temperature": 1.0, "top_k": 20,
         "top_p": 1.0, "min_p": 0.0},
    ),
    Case(
        LLAMACPP, "minus infinity is a ban", "llamacpp-args",
        "--logit-bias 29905-inf -l 7+1e-1 --temp 1 --top-k 0 --top-p 1 --min-p 0",
        {"suppress_tokens": [29905], "logit_bias": {7: 0.1}, "temperature": 1.0, **LLAMAS},
    ),
    # 7: adaptive-p
    Case(LLAMACPP, "a target alone doesn't act", "llamacpp",
         f'{{{LLAMAS_JSON}, "adaptive_target": 0.3}}', {"temperature": 1.0, **LLAMAS},
         {("lost", "adaptive_target")}),
    Case(
        LLAMACPP, "adaptive_p among the samplers acts last", "llamacpp",
        '{"temperature": 2, "top_k": 5, "adaptive_target": 0.3, "top_p": 1, "min_p": 0,'
        ' "samplers": ["adaptive_p", "temperature", "top_k"]}',
        {"temperature": 2.0, "top_k": 5, "top_p": 1.0, "min_p": 0.0, "adaptive_target": 0.3},
    ),
    # 8: Transformers without do_sample
    Case(TRANSFORMERS, "beam search", "transformers", '{"num_beams": 4, "max_length": 142}',
         {"do_sample": False, "num_beams": 4, "max_length": 142}, {("default", "do_sample")}),
    Case(TRANSFORMERS, "greedy", "", '{"eos_token_id": 2, "temperature": 0.6}',
         {"do_sample": False}, {("default", "do_sample"), ("lost", "temperature")}),
    # 9: presets for KoboldAI
    Case(
        SILLYTAVERN, "a preset for KoboldAI", "",
        '{"temp": 0.7, "top_p": 0.9, "top_k": 5, "top_a": 0, "typical": 0.8, "tfs": 1,'
        ' "rep_pen": 1.1, "rep_pen_range": 1024, "rep_pen_slope": 0, "max_length": 4096,'
        ' "genamt": 80, "sampler_order": [6, 5, 4, 0, 1, 2, 3]}',
        {"order": ["temperature", "typical_p", "top_k", "top_p"], "repetition_penalty": 1.1,
         "repetition_range": 1024, "temperature": 0.7, "top_k": 5, "top_p": 0.9, "top_a": 0.0,
         "typical_p": 0.8, "tfs": 1.0, "max_tokens": 80},
    ),
    # 10: LiteLLM
    Case(
        LITELLM, "anchors and merge keys", "",
        "base: &x {model: hosted_vllm/m, temperature: 0.5}\nmodel_list:\n"
        "- {model_name: a, litellm_params: {<<: *x, top_p: 0.9}}\n",
        {"temperature": 0.5, "top_p": 0.9},
    ),
    Case(
        LITELLM, "two entries of one name take turns", "",
        "model_list:\n- {model_name: a, litellm_params: {model: m, temperature: 0.5}}\n"
        "- {model_name: a, litellm_params: {model: n, temperature: 0.7}}\n"
        "- {model_name: a, litellm_params: {model: o, temperature: 0.5}}\n",
        {"temperature": 0.5}, {("lost", "model_name")},
    ),
    # 11: tabbyAPI's order
    Case(
        TABBYAPI, "min_p is the last", "",
        "temperature: {override: 0.7}\nmin_p: {override: 0.1}\ntop_k: {override: 9}\n"
        "top_p: {override: 0.8}\ntfs: {override: 0}\n",
        {"temperature": 0.7, "top_k": 9, "top_p": 0.8, "min_p": 0.1, "tfs": 1.0},
    ),
    Case(
        TABBYAPI, "only temperature moves, and XTC follows it", "",
        "temperature_last: {override: true}\ntemperature: {override: 0.7}\n"
        "min_p: {override: 0.1}\nxtc_probability: {override: 0.5}\n",
        {"order": ["min_p", "temperature", "xtc"], "temperature": 0.7, "min_p": 0.1,
         "xtc_probability": 0.5},
    ),
    Case(TABBYAPI, "no window turns the penalties off", "",
         "penalty_range: {override: 0}\nrep_pen: {override: 1.2}\n"
         "presence_penalty: {override: 0.0}\n", {}, {("lost", "repetition_penalty")}),
    # 12: webui and SillyTavern
    Case(
        WEBUI, "an unnamed sampler runs first", "webui",
        "sampler_priority: [temperature, top_k]\ntemperature: 2\ntop_k: 9\nmin_p: 0.1\n",
        {"order": ["min_p", "temperature", "top_k"], "temperature": 2.0, "top_k": 9, "min_p": 0.1},
    ),
    Case(
        WEBUI, "the temperatures at the end have an order", "webui",
        "temperature_last: true\nsampler_priority: [quadratic_sampling, temperature, top_k]\n"
        "temperature: 2\ntop_k: 9\nsmoothing_factor: 0.3\n",
        {"order": ["top_k", "temperature", "smoothing"], "temperature": 2.0, "top_k": 9,
         "smoothing_factor": 0.3},
    ),
    Case(WEBUI, "mirostat takes the cuts' place here", "webui",
         "mirostat_mode: 2\ntop_k: 9\ntop_p: 1\n", {"mirostat": 2}, {("lost", "top_k")}),
    Case(
        WEBUI, "a dynamic temperature runs beside the plain one", "webui",
        "dynamic_temperature: true\ndynatemp_low: 0.5\ndynatemp_high: 1.5\ntemperature: 2\n",
        {"temperature": 2.0, "dynatemp_low": 0.5, "dynatemp_high": 1.5},
    ),
    Case(WEBUI, "bans of tokens", "webui", "top_k: 9\ncustom_token_bans: '3, 4'\n",
         {"suppress_tokens": [3, 4], "top_k": 9}),
    Case(
        SILLYTAVERN, "bans and biases", "",
        '{"temp": 1, "rep_pen": 1, "banned_tokens": "\\"a phrase\\"\\n[128,129]\\nfoo",'
        ' "logit_bias": [{"text": "[5]", "value": 2}, {"text": "bar", "value": 1}]}',
        {"suppress_tokens": [128, 129], "logit_bias": {5: 2.0}, "banned_strings": ["a phrase"],
         "repetition_penalty": 1.0, "temperature": 1.0},
        {("lost", "banned_tokens"), ("lost", "logit_bias")},
    ),
    Case(WEBUI, "a window below 0 leaves out the first tokens there", "webui",
         "repetition_penalty: 1.2\nrepetition_penalty_range: -1\ntemperature: 1\n",
         {"repetition_penalty": 1.2, "repetition_range": 0, "temperature": 1.0},
         {("lost", "repetition_penalty_range")}),
    # 13: KoboldCpp
    Case(
        KOBOLDCPP, "a range of 0 is one token; a slope of 0 or above 1 is off", "koboldcpp",
        '{"rep_pen": 1.2, "rep_pen_range": 0, "rep_pen_slope": 1.5, "temperature": 1, "top_k": 0,'
        ' "top_p": 1}',
        {"repetition_penalty": 1.2, "repetition_range": 1, "temperature": 1.0, "top_k": 0,
         "top_p": 1.0},
    ),
    # 15: words
    Case(SILLYTAVERN, "files that say nothing lose nothing", "",
         '{"temp": 1, "rep_pen": 1, "json_schema": {}, "custom_model": "", "server_urls": {},'
         ' "bypass_status_check": false, "generic_model": "", "rep_pen_slope": 0}',
         {"repetition_penalty": 1.0, "temperature": 1.0}),
    Case(VLLM, "options with dots", "", "model: m\noverride-generation-config.temperature: 0.5\n",
         {"temperature": 0.5}),
    # 16: guesses
    Case(WEBUI, "mirostat alone", "", "mirostat_mode: 2\nmirostat_tau: 4\n",
         {"mirostat": 2, "mirostat_tau": 4.0}),
    Case(TRANSFORMERS, "without a version", "", '{"do_sample": true, "top_k": 3}', {"top_k": 3}),
    Case(OLLAMA, "without PARAMETER", "", 'FROM llama3.2\nSYSTEM "Hi."', {}),
    Case(LLAMACPP, "a command with a path", "",
         "./build/bin/llama-server -m x.gguf --temp 1 --top-k 0 --top-p 1 --min-p 0 --jinja"
         " --samplers 'temperature'",
         {"temperature": 1.0, **LLAMAS}),
    Case(LLAMACPP, "a command that begins with -m", "", "-m x.gguf --samplers 'top_k' --top-k 3"
         " --temp 1 --top-p 1 --min-p 0",
         {"temperature": 1.0, "top_k": 3, "top_p": 1.0, "min_p": 0.0}),
    # 17: special tokens match; see also TestImported in tests/batch/test_special_tokens.py
    Case(
        SILLYTAVERN, "bans and breakers that are special tokens are kept without a note", "",
        '{"temp": 1, "rep_pen": 1, "banned_tokens": "\\"<|im_end|>\\"", "dry_multiplier": 1,'
        ' "dry_penalty_last_n": 0, "dry_sequence_breakers": "[\\"<|im_end|>\\"]"}',
        {"repetition_penalty": 1.0, "dry_multiplier": 1.0, "dry_range": 0,
         "dry_sequence_breakers": ["<|im_end|>"], "banned_strings": ["<|im_end|>"],
         "temperature": 1.0},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.program}: {case.what}")
def test_reading(case: Case) -> None:
    """A file means here what it means in its program, and notes say what is assumed or lost."""
    reading = read(case.text, format_name=case.format)
    told = {(note.kind, note.name) for note in reading.notes if note.kind in ("lost", "default")}

    assert case.preset == reading.preset
    assert case.notes == told


EXPORTS = [
    (OLLAMA, "ollama", {"stop": ["\\n", 'a"b', '"c', "d\ne"]},
     ['PARAMETER stop "\\n"', 'PARAMETER stop "a"b"', 'PARAMETER stop ""c"',
      'PARAMETER stop "d\ne"']),
    (OLLAMA, "ollama", {"top_p": 0.5},
     ["PARAMETER presence_penalty 0.0", "PARAMETER repeat_penalty 1.0", "PARAMETER min_p 0.0"]),
    (LLAMACPP, "llamacpp-ini", {"top_k": 5, "temperature": 2, "order": ["temperature", "top_k"]},
     ["sampler-seq = edtk"]),
    (LLAMACPP, "llamacpp-ini", {"stop": [" a;b\n"]}, ["reverse-prompt = \\x20a\\x3bb\\n"]),
    (LLAMACPP, "llamacpp-args", {"suppress_tokens": [7]}, ["--logit-bias 7-inf"]),
    (LLAMACPP, "llamacpp-args", {"stop": ["a\nb\\"]}, ["--reverse-prompt 'a\\nb\\\\'"]),
    (LLAMACPP, "llamacpp", {"adaptive_target": 0.3, "top_k": 5}, ['"adaptive_p"\n  ]']),
    (WEBUI, "webui", {"temperature": 2, "dynatemp_low": 0.5, "dynatemp_high": 1.5},
     ["temperature: 2", "dynamic_temperature: true"]),
    (SILLYTAVERN, "sillytavern", {"banned_strings": ["a b"], "suppress_tokens": [7]},
     ['"banned_tokens": "\\"a b\\"\\n[7]"']),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "name", "values", "parts"), EXPORTS, ids=lambda value: str(value)[:40]
)
def test_writing(program: str, name: str, values: dict[str, Any], parts: list[str]) -> None:
    """What is written says there what the preset says, and nothing of it is lost."""
    text, notes = export(as_preset(values, Catalogue({})), name)

    assert [] == [part for part in parts if part not in text]
    assert [] == [str(note) for note in notes if note.kind == "lost"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sillytavern", '{"temp": 1, "rep_pen": 1, "penalty_alpha": 0.6, "num_beams": 4}'),
        ("webui", "min_length: 4\nlength_penalty: 2\nearly_stopping: true"),
        ("vllm", '{"temperature": 1, "forced_decoder_ids": [[1, 2]], "diversity_penalty": 1}'),
    ],
)
def test_a_generation_parameter_is_called_one(name: str, text: str) -> None:
    """A parameter that docs/parameters.md lists isn't called unknown to Temperament."""
    notes = [str(note) for note in read(text, format_name=name).notes if note.kind == "lost"]

    assert len(notes) > 1
    assert [] == [note for note in notes if "docs/parameters.md" not in note]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "an alias inside the map or list that it names"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
         "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
         "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", "its aliases repeat too many values"),
    ],
)  # fmt: skip
def test_aliases_have_a_limit(text: str, message: str) -> None:
    """Aliases that would grow without end are refused."""
    with pytest.raises(PresetError, match=message):
        read(text, format_name="litellm")


def test_a_flag_has_no_value() -> None:
    """A flag of llama.cpp that stands before another option is left out without a value."""
    text = "llama-server -m x.gguf --temp 1 --jinja --samplers temperature"
    left = {note.name: note.value for note in read(text).notes if note.kind == "left"}

    assert {"-m": "x.gguf", "--jinja": ""} == left


def test_a_byte_order_mark_is_no_text() -> None:
    """A mark at the beginning, as of a file that was piped in, changes nothing."""
    text = '{"temp": 1, "rep_pen": 1}'

    assert read(text).preset == read(f"\ufeff{text}").preset


def test_every_format_names_its_version() -> None:
    """Each format says against which version of the program it was held."""
    assert [] == [each.name for each in FORMATS if not each.version]
