"""The allowed values of a preset, their meaning, and the JSON schema for editors."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from temperament.presets import Preset
from temperament.presets.fields import MOVABLE
from temperament.presets.json_schema import json_schema
from temperament.presets.modes import Trigger
from temperament.presets.parsing import parse_preset
from temperament.presets.schedule import Schedule
from temperament.presets.source import MAX_BYTES, MAX_DEPTH, parse
from temperament.stages import PARAMETERS, STAGES

# YAML text, the field to look at, and its value.
GOOD: list[tuple[str, str, Any]] = [
    # Numbers as users write them; YAML 1.1 reads the first five as texts.
    ("temperature: 1e-4", "temperature", 0.0001),
    ("temperature: 1E+2", "temperature", 100.0),
    ("temperature: 1e2", "temperature", 100.0),
    ("temperature: .5e1", "temperature", 5.0),
    ("temperature: +.5", "temperature", 0.5),
    ("temperature: 1.", "temperature", 1.0),
    ("temperature: 010", "temperature", 10.0),
    ("temperature: 1", "temperature", 1.0),
    ("temperature: !!float 1", "temperature", 1.0),
    # Each end of each range.
    ("temperature: 0", "temperature", 0.0),
    ("temperature: 1.2e-38", "temperature", 1.2e-38),
    ("temperature: 3.4e38", "temperature", 3.4e38),
    ("top_p: 0", "top_p", 0.0),
    ("top_p: 1", "top_p", 1.0),
    ("min_p: 0", "min_p", 0.0),
    ("min_p: 1", "min_p", 1.0),
    ("top_k: 0", "top_k", 0),
    ("top_k: -1", "top_k", 0),
    ("top_k: 2147483647", "top_k", 2147483647),
    ("repetition_penalty: 1e-30", "repetition_penalty", 1e-30),
    ("repetition_penalty: 3.4e38", "repetition_penalty", 3.4e38),
    ("frequency_penalty: -2", "frequency_penalty", -2.0),
    ("frequency_penalty: 2", "frequency_penalty", 2.0),
    ("presence_penalty: -2", "presence_penalty", -2.0),
    ("presence_penalty: 2", "presence_penalty", 2.0),
    ("logit_bias: {}", "logit_bias", ()),
    ("logit_bias: {7: -1000, 0: 2.5}", "logit_bias", ((0, 2.5), (7, -1000.0))),
    ('logit_bias: {"7": 1}', "logit_bias", ((7, 1.0),)),
    ("logit_bias: {2147483647: 1}", "logit_bias", ((2147483647, 1.0),)),
    ("dynatemp_low: 0", "dynatemp_low", 0.0),
    ("dynatemp_exponent: 100", "dynatemp_exponent", 100.0),
    ("smoothing_factor: 0", "smoothing_factor", 0.0),
    ("smoothing_curve: 1", "smoothing_curve", 1.0),
    ("smoothing_curve: 10", "smoothing_curve", 10.0),
    ("typical_p: 1.2e-38", "typical_p", 1.2e-38),
    ("typical_p: 1", "typical_p", 1.0),
    ("epsilon_cutoff: 0", "epsilon_cutoff", 0.0),
    ("eta_cutoff: 0", "eta_cutoff", 0.0),
    ("top_a: 0", "top_a", 0.0),
    ("top_a: 1", "top_a", 1.0),
    ("tfs: 1", "tfs", 1.0),
    ("top_n_sigma: 0", "top_n_sigma", 0.0),
    ("top_h: 0", "top_h", 0.0),
    ("top_h: 1", "top_h", 1.0),
    ("p_less: true", "p_less", True),
    ("p_less: false", "p_less", False),
    ("skew: -20", "skew", -20.0),
    ("skew: 20", "skew", 20.0),
    ("seed: 0", "seed", 0),
    ("seed: 9223372036854775807", "seed", 2**63 - 1),
    ("max_tokens: 1", "max_tokens", 1),
    ("max_tokens: 2147483647", "max_tokens", 2147483647),
    ("seed: -1", "seed", -1),
    # A whole number may be written as a float.
    ("top_k: 40.0", "top_k", 40),
    ("top_k: -1.0", "top_k", 0),
    ("adaptive_target: -1.0", "adaptive_target", -1.0),
    ("mirostat: 2.0", "mirostat", 2),
    ("dry_range: 1e3", "dry_range", 1000),
    ("top_k: {from: 40.0, to: 5.0, over: 9.0}", "top_k", Schedule(40.0, 5.0, 9, "linear")),
    ("suppress_tokens: [5.0, 3]", "suppress_tokens", (3, 5)),
    ("bad_words_ids: [[5.0, 3]]", "bad_words_ids", ((5, 3),)),
    ("logit_bias: {7: 2}", "logit_bias", ((7, 2.0),)),
    ("seed: 5.0", "seed", 5),
    ("max_tokens: 1e2", "max_tokens", 100),
    ("num_beams: 2.0", "num_beams", 2),
    ("eos_token_id: 2.0", "eos_token_id", (2,)),
    # As Transformers writes them.
    ("forced_eos_token_id: 2", "forced_eos_token_id", (2,)),
    ("suppress_tokens: 2", "suppress_tokens", (2,)),
    ("exponential_decay_length_penalty: [3, 1.5]", "exponential_decay_length_penalty", 1.5),
    ("exponential_decay_length_penalty: [3.0, 1.5]", "exponential_decay_start", 3),
    ("sequence_bias: [[[1, 2], -1.5], [[3], 2]]", "sequence_bias", (((1, 2), -1.5), ((3,), 2.0))),
    # Texts: what YAML 1.1 reads as flags are words.
    ("stop: off", "stop", ("off",)),
    ("stop: [on, off, yes, no, y, n]", "stop", ("on", "off", "yes", "no", "y", "n")),
    ('stop: "\\n\\n"', "stop", ("\n\n",)),
    (
        "stop: [2026-01-01, 1:30, 0x10, 1_000, =]",
        "stop",
        ("2026-01-01", "1:30", "0x10", "1_000", "="),
    ),
    (f"stop: [{', '.join(['x'] * 64)}]", "stop", ("x",) * 64),
    ("source: off", "source", "off"),
    ("source: !!str 1", "source", "1"),
    ("source: &anchor text", "source", "text"),
    ("aliases: [对话, a b, no]", "aliases", ("对话", "a b", "no")),
    (f"aliases: [{'x' * 64}]", "aliases", ("x" * 64,)),
    ("aliases: []", "aliases", ()),
    ("summary: {zh: 通用对话。}", "summary", {"zh": "通用对话。"}),
    ("order: [min_p, temperature]", "order", ("min_p", "temperature")),
    (f"order: [{', '.join(reversed(MOVABLE))}]", "order", tuple(reversed(MOVABLE))),
    # The text itself.
    ("", "order", ()),
    ("# nothing but a comment", "order", ()),
    ("\ufefftop_k: 5", "top_k", 5),
    ("top_k: 5\r\ntop_p: 1\r\n", "top_k", 5),
    ("---\ntop_k: 5\n...\n", "top_k", 5),
    ("{top_k: 5}", "top_k", 5),
    (f"top_k: 5\n#{'x' * (MAX_BYTES - 10)}", "top_k", 5),
]


def read_preset(text: str) -> Preset:
    document = parse(text.encode(), "x.yaml")
    assert [] == document.problems
    return parse_preset("x", document.data, where=document.locate)[0]


@pytest.mark.parametrize(("text", "field", "expected"), GOOD)
def test_a_value_means_what_it_says(text: str, field: str, expected: Any) -> None:
    """Every spelling and every end of a range is read as the value that was meant."""
    read = read_preset(text)
    values = {**read.values, **read.generation}
    actual = values[field] if field in values else getattr(read, field)

    assert (expected, type(expected)) == (actual, type(actual))


def test_rules_take_whole_numbers_as_floats() -> None:
    """A count in a rule may be written as a float too."""
    text = (
        "modes: {a: {top_k: 5.0, exponential_decay_length_penalty: [3, 1.5]}, b: {}}\n"
        "switch: [{on: {tokens: 4.0}, to: b}, {on: {token: 7.0}, to: b},"
        " {on: {repeat: {span: 3.0, times: 2.0}}, to: a},"
        " {on: {entropy: {above: 2, for: 3.0}}, to: a}]"
    )
    preset = read_preset(text)

    assert {
        "top_k": 5,
        "exponential_decay_length_penalty": 1.5,
        "exponential_decay_start": 3,
    } == preset.modes[0].values
    assert [
        Trigger(tokens=4),
        Trigger(token=7),
        Trigger(span=3, times=2),
        Trigger(above=2.0, steps=3),
    ] == [rule.on for rule in preset.switch]


def test_transformers_map_of_sequences() -> None:
    """In Python, a map of tuples to numbers is a list of pairs."""
    read = parse_preset("x", {"sequence_bias": {(1, 2): -1.5, (3,): 2}})[0]

    assert {"sequence_bias": (((1, 2), -1.5), ((3,), 2.0))} == read.values


def test_the_greatest_depth_is_allowed() -> None:
    """A document of just the allowed depth is read; one level more is a problem."""
    depth = MAX_DEPTH
    deepest = "[" * depth + "]" * depth

    assert [] == parse(deepest.encode(), "x").problems
    assert [] != parse(f"[{deepest}]".encode(), "x").problems


def test_a_preset_overrides_only_what_it_names() -> None:
    """`over` keeps the base's values, order and generation where the upper preset sets none."""
    base = read_preset(
        "temperature: 0.7\ntop_p: 0.9\norder: [top_p, temperature]\nseed: 3\nstop: a"
    )
    upper = read_preset("top_p: 1\nmin_p: 0.1\nseed: 4\naliases: [other]")
    both = upper.over(base)

    assert {"temperature": 0.7, "top_p": 1.0, "min_p": 0.1} == both.values
    assert ("top_p", "temperature") == both.order
    assert {"seed": 4, "stop": ("a",)} == both.generation
    assert ("other",) == both.aliases
    assert ("temperature", "min_p") == both.chain.names


def test_an_upper_order_replaces_the_lower_one() -> None:
    """An upper order replaces the lower one; they are not mixed."""
    base = read_preset("order: [top_p, temperature]")

    assert ("min_p",) == read_preset("order: [min_p]").over(base).order


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("temperature: 1\ntop_p: 1\ntop_k: -1\nmin_p: 0\nlogit_bias: {}", ()),
        ("repetition_penalty: 1\nfrequency_penalty: 0\npresence_penalty: 0", ()),
        (
            "min_p: 0.1\ntop_p: 0.5\ntop_k: 3\ntemperature: 2",
            ("temperature", "top_k", "top_p", "min_p"),
        ),
        (
            "order: [top_k, top_p, temperature]\ntemperature: 2\ntop_p: 0.5\ntop_k: 3",
            ("top_k", "top_p", "temperature"),
        ),
        ("order: [min_p]\ntemperature: 2\nmin_p: 0.5\ntop_k: 3", ("min_p", "temperature", "top_k")),
        ("order: [top_k, min_p]\nmin_p: 0.5", ("min_p",)),
        (
            "dynatemp_low: 2\ndynatemp_high: 2\nsmoothing_curve: 2\ntypical_p: 1\ntfs: 1\n"
            "top_h: 0\np_less: false\nskew: 0\nremove_invalid_values: false\n"
            "renormalize_logits: false",
            (),
        ),
        ("dynatemp_high: 1.5", ("dynamic_temperature",)),
        ("dynatemp_low: 1.5", ("dynamic_temperature",)),
        ("dynatemp_exponent: 2", ()),
        (
            "order: [skew, p_less, temperature]\nrenormalize_logits: true\ntemperature: 2\n"
            "p_less: true\nskew: 1\nremove_invalid_values: true\nlogit_bias: {1: 1}",
            (
                "remove_invalid_values",
                "logit_bias",
                "skew",
                "p_less",
                "temperature",
                "renormalize_logits",
            ),
        ),
        (
            "order: [temperature]\ntemperature: 2\npresence_penalty: 1\nfrequency_penalty: 1\n"
            "repetition_penalty: 2\nlogit_bias: {1: 1}",
            (
                "logit_bias",
                "repetition_penalty",
                "frequency_penalty",
                "presence_penalty",
                "temperature",
            ),
        ),
    ],
)
def test_a_chain_has_its_stages_in_order(text: str, expected: tuple[str, ...]) -> None:
    """Neutral stages vanish, `order` moves what it names, biases and penalties stand first."""

    assert expected == read_preset(text).chain.names


def test_a_chain_reads_like_what_one_would_type() -> None:
    """`repr` shows each parameter with its value."""

    assert "Chain(temperature=0.5, top_k=3)" == repr(
        read_preset("top_k: 3\ntemperature: 0.5").chain
    )
    assert not read_preset("").chain


def test_equal_sampling_has_equal_digests() -> None:
    """The digest depends on values, order and generation, not on names, spelling or texts."""
    plain = read_preset("temperature: 1\ntop_k: 5")
    same = [
        read_preset("top_k: 5\ntemperature: 1.0\nsummary: {en: Text.}\naliases: [b]\nsource: s"),
        parse_preset("y", {"top_k": 5, "temperature": 1}, where="request")[0],
        read_preset("temperature: 1").over(read_preset("top_k: 5")),
    ]
    others = [
        "temperature: 1",
        "temperature: 1\ntop_k: 6",
        "temperature: 1\ntop_k: 5\nseed: 1",
        "temperature: 1\ntop_k: 5\norder: [top_k]",
    ]

    assert [plain.digest] * 3 == [each.digest for each in same]
    assert plain.digest not in [read_preset(text).digest for text in others]
    assert f"x@{plain.digest}" == plain.label
    assert {plain: 1} == {read_preset("temperature: 1\ntop_k: 5"): 1}


SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_json_schema_is_one() -> None:
    """The schema follows the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [text for text, _, _ in GOOD if "source: &" not in text])
def test_the_json_schema_takes_what_we_take(text: str) -> None:
    """An editor that follows the schema marks no good preset."""
    data = parse(text.encode(), "x").data or {}
    # A JSON object's keys are texts.
    if isinstance(data.get("logit_bias"), dict):
        data["logit_bias"] = {str(key): value for key, value in data["logit_bias"].items()}

    VALIDATOR.validate(data)


@pytest.mark.parametrize(
    "data",
    [
        {"temperture": 1},
        {"temperature": -1},
        {"temperature": "1"},
        {"temperature": None},
        {"top_p": 1.5},
        {"top_k": -2},
        {"top_k": 1.5},
        {"repetition_penalty": 0},
        {"logit_bias": {"5": "much"}},
        {"order": []},
        {"order": ["nothing"]},
        {"order": ["top_k", "top_k"]},
        {"stop": ""},
        {"stop": []},
        {"stop": [1]},
        {"seed": -2},
        {"exponential_decay_length_penalty": [3]},
        {"exponential_decay_length_penalty": [3, 0]},
        {"exponential_decay_length_penalty": [-3, 1.5]},
        {"forced_eos_token_id": -1},
        {"forced_eos_token_id": 2.5},
        {"max_tokens": 0},
        {"aliases": ["a:b"]},
        {"aliases": [""]},
        {"summary": {"fr": "Un résumé."}},
        {"extends": None},
    ],
    ids=str,
)
def test_the_json_schema_refuses_what_we_refuse(data: dict[str, Any]) -> None:
    """An editor that follows the schema marks what `temperament check` reports."""

    assert not VALIDATOR.is_valid(data)


def test_the_json_schema_knows_no_null() -> None:
    """An unset field has no value; null is neither a value nor a default."""

    assert "null" not in json.dumps(SCHEMA)


def test_every_parameter_is_described() -> None:
    """The schema has each parameter of each stage with what it allows."""

    assert set(PARAMETERS) <= set(SCHEMA["properties"])
    assert all(
        parameter.allowed in SCHEMA["properties"][name]["description"]
        for name, parameter in PARAMETERS.items()
    )


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_says_what_it_is(stage: Any) -> None:
    """A stage has a summary in both languages, a source, and values that leave logits alone."""

    assert all((stage.summary, stage.summary_zh, stage.source, stage.parameters))
    assert stage.is_neutral({each.name: each.unset for each in stage.parameters})
