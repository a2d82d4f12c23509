"""The kinds of values: each is checked, written as plain data, and stored in one way."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from temperament.errors import PresetError
from temperament.presets.json_schema import json_schema
from temperament.presets.parsing import parse_preset
from temperament.stages import PARAMETERS, kinds
from temperament.stages.kinds import ColumnKind, EntriesKind, Kind, TextsKind

SCHEMA = jsonschema.Draft202012Validator(json_schema())
KINDS: list[Kind] = [kind for kind in vars(kinds).values() if isinstance(kind, Kind)]
# A field of each kind, a value as a file has it, its plain form, token ids and texts.
VALUES: list[tuple[str, Any, Any, list[int], tuple[str, ...]]] = [
    ("temperature", 0.5, 0.5, [], ()),
    ("top_k", -1, 0, [], ()),
    ("reproducible", True, True, [], ()),
    ("suppress_tokens", [7, 3, 7], [3, 7], [3, 7], ()),
    ("logit_bias", {"5": -1, "2": 0.5}, {2: 0.5, 5: -1}, [2, 5], ()),
    ("bad_words_ids", [[4], [1, 2]], [[1, 2], [4]], [1, 2, 4], ()),
    ("sequence_bias", [[[4], 1.5], [[1, 2], -3]], [[[1, 2], -3], [[4], 1.5]], [1, 2, 4], ()),
    ("banned_strings", "b", ["b"], [], ("b",)),
]


def test_every_kind_is_tried() -> None:
    """Each kind has a line in `VALUES`, and an annotation of its name."""
    assert {kind.name for kind in KINDS} == {PARAMETERS[name].kind.name for name, *_ in VALUES}
    assert all(parameter.kind.annotation(parameter) for parameter in PARAMETERS.values())


@pytest.mark.parametrize(("name", "value", "plain", "tokens", "texts"), VALUES)
def test_a_value(
    name: str, value: Any, plain: Any, tokens: list[int], texts: tuple[str, ...]
) -> None:
    """A value is checked, written as plain data that gives it again, and names tokens or texts."""
    kind = PARAMETERS[name].kind
    preset, _ = parse_preset("x", {name: value})
    checked = preset.values[name]
    again, _ = parse_preset("x", json.loads(json.dumps(preset.plain())))

    SCHEMA.validate({name: value})
    hash(checked)
    assert {name: plain} == preset.plain()
    assert preset.digest == again.digest
    assert tokens == list(kind.token_ids(checked))
    assert texts == kind.texts(checked)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_batch_stores_it_in_one_way(kind: Kind) -> None:
    """A kind is a column, entries or texts."""
    assert 1 == sum(isinstance(kind, base) for base in (ColumnKind, EntriesKind, TextsKind))


@pytest.mark.parametrize("name", ["mirostat", "forced_bos_token_id"])
@pytest.mark.parametrize("value", [{"scale": 1.5}, {"from": 1, "to": 2, "over": 5}], ids=str)
def test_a_choice_has_nothing_in_between(name: str, value: dict[str, Any]) -> None:
    """A number that names a thing is neither a factor nor a schedule."""
    with pytest.raises(PresetError, match=f"x: {name}: not allowed"):
        parse_preset("x", {name: value}, where="x")
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate({name: value})
