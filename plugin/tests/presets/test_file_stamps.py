"""Presets are read again when one of their files changed, and not otherwise."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from temperament.errors import PresetError
from temperament.presets import Catalogue, source


def write(file: Path, temperature: float, *, age: float = 60) -> None:
    """A preset file that was last changed `age` seconds ago."""
    file.write_text(f"temperature: {temperature}\n", encoding="utf-8")
    then = time.time() - age
    os.utime(file, (then, then))


def loaded(folder: Path) -> Catalogue:
    return Catalogue.load([folder], environment=False)


def test_unchanged_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second load reads no file, and returns the same catalogue."""
    write(tmp_path / "mine.yaml", 0.5)
    first = loaded(tmp_path)

    def unexpected(path: Path) -> source.Document:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(source, "read", unexpected)

    assert first is loaded(tmp_path)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """A file of another time is read again, though its size is the same."""
    write(tmp_path / "mine.yaml", 0.5)
    before = loaded(tmp_path)["mine"].values
    write(tmp_path / "mine.yaml", 0.7, age=30)

    assert {"temperature": 0.5} == before
    assert {"temperature": 0.7} == loaded(tmp_path)["mine"].values


def test_files_come_and_go(tmp_path: Path) -> None:
    """An added file is found, a removed one forgotten."""
    write(tmp_path / "mine.yaml", 0.5)
    loaded(tmp_path)
    write(tmp_path / "other.yaml", 0.6)

    assert "other" in loaded(tmp_path)
    (tmp_path / "other.yaml").unlink()

    assert "other" not in loaded(tmp_path)


def test_a_file_written_just_now_may_change_unnoticed(tmp_path: Path) -> None:
    """Within the precision of a file's time, each load reads the file."""
    write(tmp_path / "mine.yaml", 0.5, age=0)
    loaded(tmp_path)
    status = (tmp_path / "mine.yaml").stat()
    (tmp_path / "mine.yaml").write_text("temperature: 0.7\n", encoding="utf-8")
    os.utime(tmp_path / "mine.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert {"temperature": 0.7} == loaded(tmp_path)["mine"].values


def test_problems_are_reported_at_every_load(tmp_path: Path) -> None:
    """Files with problems aren't kept: each load raises."""
    write(tmp_path / "mine.yaml", -1)
    for _ in range(2):
        with pytest.raises(PresetError, match="temperature"):
            loaded(tmp_path)
