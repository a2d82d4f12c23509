"""Presets are read again when one of their files changed, and not otherwise."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from temperament.errors import PresetError, Problem
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


class TestOfManyFiles:
    """A file that changed is read again, and the others aren't."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Returns the names of the files that are read, as they are."""
        names: list[str] = []
        original = source.read

        def reading(path: Path) -> source.Document:
            names.append(path.name)
            return original(path)

        monkeypatch.setattr(source, "read", reading)
        return names

    def test_one_of_them_changes(self, tmp_path: Path, read: list[str]) -> None:
        """The changed file's values hold in what extends it too, though that isn't read again."""
        for number in range(20):
            write(tmp_path / f"p{number}.yaml", 0.5)
        (tmp_path / "child.yaml").write_text("extends: p7\ntop_k: 3\n", encoding="utf-8")
        os.utime(tmp_path / "child.yaml", (1, 1))
        loaded(tmp_path)
        read.clear()
        write(tmp_path / "p7.yaml", 0.7)
        (tmp_path / "p8.yaml").unlink()
        changed = loaded(tmp_path)

        assert ["p7.yaml"] == read
        assert {"temperature": 0.7, "top_k": 3} == changed["child"].values
        assert {"temperature": 0.5} == changed["p9"].values
        assert "p8" not in changed

    def test_one_was_written_just_now(self, tmp_path: Path, read: list[str]) -> None:
        """A file whose time can't tell yet whether it changed is the only one that is read."""
        write(tmp_path / "old.yaml", 0.5)
        write(tmp_path / "new.yaml", 0.5, age=0)
        loaded(tmp_path)
        read.clear()
        loaded(tmp_path)

        assert ["new.yaml"] == read

    def test_problems_stay(self, tmp_path: Path, read: list[str]) -> None:
        """Problems of files that aren't read again are reported beside new ones."""
        write(tmp_path / "first.yaml", -1)
        write(tmp_path / "second.yaml", 0.5)
        write(tmp_path / "broken.yaml", 0.5)
        (tmp_path / "broken.yaml").write_text("top_k: 1\ntop_k: 2\n", encoding="utf-8")
        os.utime(tmp_path / "broken.yaml", (1, 1))
        with pytest.raises(PresetError) as before:
            loaded(tmp_path)
        write(tmp_path / "second.yaml", -2)
        read.clear()
        with pytest.raises(PresetError) as after:
            loaded(tmp_path)

        assert ["broken.yaml", "second.yaml"] == read
        assert [2, 3] == [len(error.value.problems) for error in (before, after)]
        assert set(before.value.problems) < set(after.value.problems)

    def test_a_file_of_the_same_size_and_time(self, tmp_path: Path, read: list[str]) -> None:
        """A file whose time was set back to what it was is read again all the same."""
        write(tmp_path / "mine.yaml", 0.5)
        loaded(tmp_path)
        status = (tmp_path / "mine.yaml").stat()
        time.sleep(0.02)  # the clock of a file system may stand still so long
        write(tmp_path / "mine.yaml", 0.7)
        os.utime(tmp_path / "mine.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))
        read.clear()

        assert {"temperature": 0.7} == loaded(tmp_path)["mine"].values
        assert ["mine.yaml"] == read

    def test_a_file_that_can_not_be_read_for_a_while(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk's error counts until the next load, though no file has changed."""
        write(tmp_path / "mine.yaml", 0.5)
        original = source.read

        def failing(path: Path) -> source.Document:
            if path.name != "mine.yaml":
                return original(path)
            return source.Document(str(path), problems=[Problem(str(path), "", "can't be read")])

        with monkeypatch.context() as patch, pytest.raises(PresetError):
            patch.setattr(source, "read", failing)
            loaded(tmp_path)

        assert {"temperature": 0.5} == loaded(tmp_path)["mine"].values
