"""What holds for every format of `interchange`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from temperament import Catalogue, PresetError
from temperament.interchange import BY_NAME, FORMATS, MODULES, export, read
from temperament.presets import as_preset

NOTHING = Catalogue({})
FOLDER = Path(__file__).parents[2] / "temperament" / "interchange"


class TestModules:
    """`MODULES`."""

    def test_every_file_with_formats_is_listed(self) -> None:
        """A file of the folder that defines `FORMATS` is in `MODULES`."""
        files = {
            path.stem
            for path in FOLDER.glob("*.py")
            if path.stem != "__init__" and "\nFORMATS = (" in path.read_text(encoding="utf-8")
        }

        assert set(MODULES) == files

    def test_names_are_unique(self) -> None:
        """Two formats of one name would hide each other."""
        assert len(BY_NAME) == len(FORMATS)

    @pytest.mark.parametrize("module", MODULES)
    def test_every_module_has_its_tests(self, module: str) -> None:
        """`test_<module>.py` has a file of each of the module's formats."""
        tests = import_module(f"tests.interchange.test_{module}")
        formats = import_module(f"temperament.interchange.{module}").FORMATS

        assert {file.format for file in tests.FILES} == {each.name for each in formats}


class TestRead:
    """`interchange.read`."""

    @pytest.mark.parametrize(
        ("format_name", "text", "message"),
        [
            ("trasformers", "{}", "did you mean 'transformers'"),
            ("", "hello", "no format is recognised; allowed: --from transformers, "),
        ],
    )
    def test_an_unknown_format_is_refused(self, format_name: str, text: str, message: str) -> None:
        """An unknown format is refused, and the error lists the formats."""
        with pytest.raises(PresetError, match=message):
            read(text, format_name=format_name)

    def test_an_unknown_field_is_noted(self) -> None:
        """An unknown field is left out, and its note has its name and value."""
        [note] = read('{"temperature": 1, "hotness": 3}', format_name="sglang").notes

        assert ("lost", "hotness", 3) == (note.kind, note.name, note.value)

    @pytest.mark.parametrize(
        ("format_name", "text"),
        [("webui", "sampler_priority: 0.5"), ("koboldcpp", '{"sampler_order": 6}'),
         ("llamacpp", '{"xtc_threshold": "a"}'), ("sillytavern", '{"rep_pen_range": "a"}')],
    )  # fmt: skip
    def test_a_value_of_another_type_is_refused(self, format_name: str, text: str) -> None:
        """What can't be converted is an error, not a traceback."""
        with pytest.raises(PresetError, match="has a value of another type"):
            read(text, format_name=format_name)


@pytest.mark.parametrize("name", BY_NAME)
class TestExport:
    """`interchange.export`, whatever the format."""

    def test_lost_modes_are_noted(self, name: str) -> None:
        """No other program switches modes while it generates."""
        preset = Catalogue.load(environment=False)["reasoning"]

        assert "modes" in {note.name for note in export(preset, name)[1] if note.kind == "lost"}

    def test_a_lost_schedule_is_noted(self, name: str) -> None:
        """No other program has numbers that change with the position."""
        preset = as_preset({"temperature": {"from": 1.0, "to": 0.5, "over": 9}}, NOTHING)

        lost = {note.name for note in export(preset, name)[1] if note.kind == "lost"}
        assert "temperature" in lost

    def test_every_generation_field_comes_back_or_is_noted(self, name: str) -> None:
        """A seed, a limit, a stop text, end tokens, a count: none is dropped in silence."""
        fields = {
            "max_tokens": 9, "stop": ["a", "b\nc"], "seed": 2**32, "eos_token_id": [7],
            "num_return_sequences": 2, "num_beams": 2, "token_healing": True,
        }  # fmt: skip
        preset = as_preset(fields, NOTHING)
        text, notes = export(preset, name)
        back = as_preset(read(text, format_name=name).preset, NOTHING).generation
        lost = {note.name for note in notes if note.kind == "lost"}

        assert {field for field in fields if back.get(field) != preset.generation[field]} <= lost

    def test_an_unbound_preset_is_refused(self, name: str) -> None:
        """Its numbers depend on a model that isn't known."""
        catalogue = Catalogue.load(environment=False)
        with pytest.raises(PresetError, match="the model must be known"):
            export(catalogue["recommended"], name)


def test_a_bound_preset_has_the_models_numbers() -> None:
    """A preset that is bound to a model is exported with the vendor's values."""
    catalogue = Catalogue.load(environment=False).for_model("qwen3-8b")
    text, _ = export(catalogue["recommended"], "webui")

    assert "top_k: 20" in text
