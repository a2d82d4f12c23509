"""A preset as YAML text and as plain data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from temperament import Catalogue
from temperament.presets import as_preset
from temperament.presets.yaml_text import yaml_text

VALUES = {
    "temperature": 0.7,
    "top_k": 40,
    "logit_bias": {5: -100, 7: 2},
    "bad_words_ids": [[1, 2], [3]],
    "sequence_bias": [[[1, 2], 0.5]],
    "dry_multiplier": 0.8,
    "dry_sequence_breakers": ["\n", '"', "对"],
    "reproducible": True,
    "order": ["top_k", "temperature"],
    "stop": ["END", "。"],
    "seed": 3,
}


MODES = {
    "temperature": {"from": 1.3, "to": 0.7, "over": 200, "curve": "cosine"},
    "modes": {"prose": {"top_p": 0.9}, "code": {"temperature": 0, "order": ["top_p", "min_p"]}},
    "start": "prose",
    "switch": [
        {"from": "prose", "on": {"text": "```", "at_line_start": True}, "to": "code"},
        {"from": "code", "on": {"end_of": ["```", "~~~"]}, "to": "back"},
        {"from": "code", "on": {"tokens": 50}, "to": "prose"},
    ],
}


@pytest.mark.parametrize(
    "values", [VALUES, MODES, {}, {"temperature": 0}, {"stop": ": #", "top_p": 1}]
)
def test_a_written_preset_is_read_again(values: dict[str, object], tmp_path: Path) -> None:
    """A written file loads as a preset with the same digest."""
    preset = as_preset(values, Catalogue({}))
    (tmp_path / "mine.yaml").write_text(yaml_text(preset), encoding="utf-8")

    assert preset.digest == Catalogue.load([tmp_path], environment=False)["mine"].digest


def test_what_a_shipped_preset_says_about_itself_is_kept(tmp_path: Path) -> None:
    """Aliases, summary and source are written to the file too."""
    chat = Catalogue.load(environment=False)["chat"]
    (tmp_path / "chat.yaml").write_text(yaml_text(chat), encoding="utf-8")
    again = Catalogue.load([tmp_path], environment=False)["chat"]

    assert (chat.aliases, chat.source, dict(chat.summary)) == (
        again.aliases,
        again.source,
        dict(again.summary),
    )


def test_the_fields_are_plain() -> None:
    """The plain form has lists and maps; JSON and back changes only a map's keys."""
    plain = as_preset(VALUES, Catalogue({})).plain()
    again = as_preset(json.loads(json.dumps(plain)), Catalogue({}))

    assert {5: -100, 7: 2} == plain["logit_bias"]
    assert again.digest == as_preset(VALUES, Catalogue({})).digest
