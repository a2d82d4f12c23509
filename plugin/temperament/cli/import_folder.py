"""`import` of a folder or an archive: a preset file for each preset in it, and a report."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temperament.errors import PresetError, Problem, TemperamentError
from temperament.interchange import Note, decoded, read, recognised
from temperament.presets import fields
from temperament.presets.parsing import parse_preset
from temperament.presets.source import MAX_BYTES
from temperament.presets.yaml_text import yaml_text

MAX_FILES = 10_000


@dataclass(slots=True)
class Imported:
    """One preset of a file: its format, its name and text, or why it was refused."""

    file: str
    format: str = ""
    name: str = ""
    text: str = ""
    refused: str = ""
    notes: list[Note] = field(default_factory=list)

    @property
    def as_json(self) -> dict[str, Any]:
        """What a report in JSON has."""
        about = {"file": self.file, "format": self.format, "preset": self.name}
        return {**about, "refused": self.refused, "notes": [str(note) for note in self.notes]}


def is_many(path: str) -> bool:
    """Whether a path is a folder or an archive."""
    try:
        return Path(path).is_dir() or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False


def import_many(path: str, format_name: str, folder: Path) -> list[Imported]:
    """Writes a preset file into `folder` for each preset in a folder or archive.

    A file that isn't read is refused alone. Nothing is written where a file of a preset's name
    exists already, or if one can't be written. Raises `PresetError`.
    """
    found: list[Imported] = []
    try:
        for number, (name, raw) in enumerate(_files(Path(path))):
            if number == MAX_FILES:
                allowed = f"at most {MAX_FILES} files"
                raise PresetError(Problem(path, "", "has too many files", allowed=allowed))
            found += _presets(name, raw, format_name)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, RuntimeError) as error:
        raise PresetError(Problem(path, "", f"can't be read: {error}")) from None
    read_ones = [each for each in found if not each.refused]
    _name(read_ones)
    _write(folder, read_ones)
    return found


def report(found: list[Imported]) -> str:
    """What became of each file."""
    lines = []
    for each in found:
        outcome = f"refused: {each.refused}" if each.refused else f"{each.format}: {each.name}.yaml"
        lines += [f"{each.file}: {outcome}", *(f"  {note}" for note in each.notes)]
    refused = sum(bool(each.refused) for each in found)
    return "\n".join([*lines, f"{len(found) - refused} written, {refused} refused"])


def _files(path: Path) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of each file, None where it is too large."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        for each in files:
            large = each.stat().st_size > MAX_BYTES
            yield each.relative_to(path).as_posix(), None if large else each.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    large = entry.file_size > MAX_BYTES
                    yield entry.filename, None if large else archive.read(entry)
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    large = member.size > MAX_BYTES
                    yield member.name, None if large else content.read()


def _presets(file: str, raw: bytes | None, format_name: str) -> list[Imported]:
    """The presets of one file: one for each of its sections."""
    try:
        if raw is None:
            allowed = f"at most {MAX_BYTES} bytes"
            raise PresetError(Problem("", "", "the file is too large", allowed=allowed))
        text = decoded(raw, file)
        found = recognised(text, file, format_name)
        sections = found.sections(text) or [""]
    except TemperamentError as error:
        return [Imported(file, refused=_reason(error))]
    return [_one(file, text, found.name, section) for section in sections]


def _one(file: str, text: str, format_name: str, section: str) -> Imported:
    stem = Path(file.replace("\\", "/")).name.partition(".")[0]
    one = Imported(file, format_name, section or stem)
    try:
        reading = read(text, name=file, format_name=format_name, section=section)
        preset, _ = parse_preset("imported", reading.preset)
        one.text, one.notes = yaml_text(preset), reading.notes
    except TemperamentError as error:
        one.refused = _reason(error)
    return one


def _reason(error: TemperamentError) -> str:
    return "; ".join(str(error).splitlines())


def _name(found: list[Imported]) -> None:
    """Gives each preset a valid name, different from all others, after its section or file."""
    taken: set[str] = set()
    for each in found:
        plain = re.sub(r"[^a-z0-9._-]+", "-", each.name.lower())[:60].strip("-_.")
        stem = plain if fields.NAME.fullmatch(plain) else "imported"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        each.name = name


def _write(folder: Path, found: list[Imported]) -> None:
    paths = [folder / f"{each.name}.yaml" for each in found]
    there = [path for path in paths if path.exists()]
    if there:
        message, allowed = "exists already", "another --folder"
        raise PresetError([Problem(str(path), "", message, allowed=allowed) for path in there])
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, each in zip(paths, found, strict=True):
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(each.text)
    except BaseException as error:
        for path in written:
            path.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        problem = Problem(str(error.filename), "", f"can't be written: {error.strerror}")
        raise PresetError(problem) from None
