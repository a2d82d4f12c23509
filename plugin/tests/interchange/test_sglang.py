"""SGLang's preferred parameters: files, what they are read as, and what is written."""

import json

import pytest

from temperament import Catalogue
from temperament.interchange import read
from temperament.presets import as_preset
from tests.interchange.files import Export, File, export_test, file_tests

FILES = [
    File(
        "sglang",
        "",
        '{"temperature": 0.7, "top_k": -1, "repetition_penalty": 1.05, "max_new_tokens": 256}',
        {"repetition_penalty": 1.05, "temperature": 0.7, "top_k": 0, "max_tokens": 256},
        {("differs", "repetition_penalty")},
        recognised=False,
    ),
]  # fmt: skip
# SGLang 0.5.23: both cuts are of the whole distribution, unless there is a min_p; run in
# scripts/programs.
ORDERS: list[tuple[dict[str, float], list[str]]] = [
    ({}, ["temperature", "top_p", "top_k"]),
    ({"min_p": 0}, ["temperature", "top_p", "top_k"]),
    ({"min_p": 0.1}, ["temperature", "top_k", "top_p", "min_p"]),
]
EXPORTS = [
    Export("sglang", {"adaptive_target": 0.4}, {}, {"adaptive_target"}),
    Export("sglang", {"top_k": 8, "top_p": 0.9}, {"top_k": 8, "top_p": 0.9}, {"order"}),
    Export(
        "sglang",
        {"top_k": 8, "top_p": 0.9, "order": ["top_p", "top_k"]},
        {"top_k": 8, "top_p": 0.9},
    ),
    # SGLang 0.5.23 refuses what its SamplingParams.verify and normalize don't allow
    Export(
        "sglang",
        {"repetition_penalty": 2.5, "stop": [str(n) for n in range(33)]},
        {},
        {"repetition_penalty", "stop"},
    ),
]


@pytest.mark.parametrize(("more", "order"), ORDERS)
def test_order(more: dict[str, float], order: list[str]) -> None:
    """The order of SGLang 0.5.23's cuts depends on whether there is a min_p."""
    text = json.dumps({"temperature": 0.7, "top_k": 8, "top_p": 0.9, **more})
    chain = as_preset(read(text, format_name="sglang").preset, Catalogue({})).chain

    assert order == list(chain.names)


test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
