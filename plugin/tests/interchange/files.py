"""How the formats' tests are written: files and exports as data, from which tests are built.

A module of `interchange` has the test file `test_<module>.py`; `plugin/tests/interchange` checks
that each has one, with a file of every format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.interchange import FORMATS, export, read
from temperament.presets import as_preset

Test = Callable[..., None]


@dataclass(frozen=True)
class File:
    """A file as its program writes it, and the preset that is read from it.

    `notes` are the kinds and names of notes; every note of the kind `lost` must be among them.
    `section` selects a preset of the file. A file that isn't `recognised` needs `--from`.
    """

    format: str
    name: str
    text: str
    preset: dict[str, Any]
    notes: set[tuple[str, str]] = field(default_factory=set)
    section: str = ""
    recognised: bool = True


@dataclass(frozen=True)
class Export:
    """A preset, the text that is written (or its JSON's content), and the names that are lost."""

    format: str
    values: dict[str, Any]
    expected: dict[str, Any] | str
    lost: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Wrong:
    """A text that doesn't have its format, and a pattern of the error's message."""

    format: str
    text: str
    message: str


def file_tests(files: Sequence[File]) -> tuple[Test, Test]:
    """Returns a test that reads the files, and one that recognises them without `--from`."""

    @pytest.mark.parametrize("file", files, ids=lambda file: file.format)
    def test_reading(file: File) -> None:
        """A file is read as its preset, and what is lost or differs has a note."""
        reading = read(file.text, name=file.name, format_name=file.format, section=file.section)

        assert file.preset == reading.preset
        notes = {(note.kind, note.name) for note in reading.notes}
        assert notes >= file.notes
        assert {name for kind, name in notes if kind == "lost"} <= {name for _, name in file.notes}

    @pytest.mark.parametrize("file", files, ids=lambda file: file.format)
    def test_recognition(file: File) -> None:
        """The first format that a file looks like is its own, if it can be recognised."""
        looks = [each.name for each in FORMATS if each.looks(file.name, file.text)]

        assert (looks[:1] == [file.format]) == file.recognised

    return test_reading, test_recognition


def export_test(exports: Sequence[Export]) -> Test:
    """Returns a test that writes presets."""

    @pytest.mark.parametrize("case", exports, ids=lambda case: f"{case.format} {case.values}")
    def test_export(case: Export) -> None:
        """The text has the program's names, units and order, and undoes its defaults."""
        text, notes = export(as_preset(case.values, Catalogue({})), case.format)

        assert case.expected == (text if isinstance(case.expected, str) else json.loads(text))
        assert {note.name for note in notes if note.kind == "lost"} == case.lost

    return test_export


def refusal_test(wrong: Sequence[Wrong]) -> Test:
    """Returns a test that reads texts which don't have their format."""

    @pytest.mark.parametrize("case", wrong, ids=lambda case: f"{case.format} {case.text}")
    def test_refusal(case: Wrong) -> None:
        """The error says what is wrong."""
        with pytest.raises(PresetError, match=case.message):
            read(case.text, format_name=case.format)

    return test_refusal
