"""Export, then import: the preset comes back, without what a note says is lost."""

from __future__ import annotations

import pytest
from hypothesis import given

from temperament import Catalogue, Preset
from temperament.interchange import BY_NAME, export, gone, read
from temperament.interchange.dialect import movable, same_order
from temperament.presets.parsing import parse_preset
from tests.examples import examples
from tests.interchange.presets import presets

SHIPPED = [
    preset
    for preset in Catalogue.load(environment=False).values()
    if not (preset.unbound or preset.modes)
]


def back(preset: Preset, name: str) -> tuple[Preset, set[str], list[str]]:
    """(what comes back, the parameters that notes say are lost, all notes)."""
    text, notes = export(preset, name)
    returned, _ = parse_preset("back", read(text, format_name=name).preset)
    lost = {note.name for note in notes if note.kind == "lost"}
    lost |= gone(lost)
    return returned, lost, [str(note) for note in notes]


@pytest.mark.parametrize("name", BY_NAME)
@given(preset=presets())
@examples(40)
def test_the_chain_comes_back(name: str, preset: Preset) -> None:
    """Each value and the order, unless a note of its own says that it is lost."""
    returned, lost, notes = back(preset, name)
    before, after = preset.chain.values, returned.chain.values
    kept = [stage for stage in movable(preset.chain.names) if stage in returned.chain.names]
    again = [stage for stage in movable(returned.chain.names) if stage in kept]

    assert {} == {k: v for k, v in before.items() if after.get(k) != v and k not in lost}
    assert {} == {k: v for k, v in after.items() if k not in before and k not in lost}
    assert "order" in lost or same_order(kept, again)
    assert [] == [note for note in notes if "would give it back" in note or "would run" in note]


@pytest.mark.parametrize("name", BY_NAME)
@given(preset=presets())
@examples(15)
def test_the_rest_comes_back(name: str, preset: Preset) -> None:
    """A limit, stop texts and a seed come back too."""
    returned, lost, _ = back(preset, name)

    assert {} == {
        key: value
        for key, value in preset.generation.items()
        if returned.generation.get(key) != value and key not in lost
    }


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "litellm-deepseek"])
@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset.name)
def test_shipped_presets_lose_nothing(name: str, preset: Preset) -> None:
    """Every format but that of a closed API can say what the shipped presets say."""
    returned, lost, _ = back(preset, name)

    assert lost <= {"order"}
    assert returned.chain.values == preset.chain.values
