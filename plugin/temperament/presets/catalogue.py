"""All presets that can be named: the shipped ones, and the user's, which may replace them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from temperament.errors import PresetError, Problem, UnknownPreset, nearest, shown
from temperament.presets import source
from temperament.presets.binding import bind
from temperament.presets.families import family_of
from temperament.presets.family import Family
from temperament.presets.fields import NAME, NAME_ALLOWED
from temperament.presets.file_stamps import SUFFIXES, Stamp, stamps
from temperament.presets.groups import FOLDERS
from temperament.presets.markers import configs as shipped
from temperament.presets.model_facts import Facts, facts_of
from temperament.presets.parsing import Parsed, check_modes, parse
from temperament.presets.picking import pick_problems
from temperament.presets.preset import Preset

VARIABLE = "TEMPERAMENT_PRESETS"

# What the last call with the same paths read. Decoding loops name presets at every step, and to
# read the files takes longer than the step; of a slow disk a server would read a thousand for one.
_loaded: dict[tuple[tuple[str, Path], ...], _Loaded] = {}
_MOST_LOADED = 16


@dataclass(frozen=True)
class Catalogue(Mapping[str, Preset]):
    """Presets by name; `resolve` also knows the aliases.

    The presets of a catalogue for a model (`for_model`) are bound to it.
    """

    presets: Mapping[str, Preset]
    aliases: Mapping[str, str] = field(default_factory=dict)
    facts: Facts | None = None
    family: Family | None = None

    def __getitem__(self, name: str) -> Preset:
        return self.presets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.presets)

    def __len__(self) -> int:
        return len(self.presets)

    def resolve(self, name: object, where: str = "") -> Preset:
        """Returns the preset of a name or alias, whose case doesn't matter.

        Raises `UnknownPreset` with the nearest names.
        """
        if isinstance(name, str):
            if name in self.presets:
                return self.presets[name]
            folded = _fold(name)
            if folded in self.presets:
                return self.presets[folded]
            if folded in self.aliases:
                return self.presets[self.aliases[folded]]
        known = [*self.presets, *self.aliases]
        raise UnknownPreset(
            Problem(
                where,
                "preset",
                "unknown preset",
                shown(name),
                ", ".join(self.presets) or "none is loaded",
                nearest(name, known),
                "unknown_preset",
            )
        )

    def find(self, name: str) -> Preset | None:
        """Returns the preset of a name or alias, None if there is none."""
        try:
            return self.resolve(name)
        except UnknownPreset:
            return None

    def for_model(self, model: str | Path | Facts, thinking: bool | None = None) -> Catalogue:
        """Returns the same presets, bound to a model: its name, its folder, or its facts.

        `thinking` is whether the model thinks before it answers, None for what its family does when
        a request doesn't say. What the vendor recommends follows it.

        Raises `PresetError` if a folder's `config.json` can't be read.
        """
        facts = facts_of(model)
        family = family_of(facts)
        family = None if family is None else family.when(thinking)
        bound = {name: bind(p, facts, family) for name, p in self.presets.items()}
        return Catalogue(bound, self.aliases, facts, family)

    def bind(self, preset: Preset) -> Preset:
        """Returns `preset` bound to this catalogue's model; as it is if there is none.

        What can't be bound is reported by `Preset.unbound`.
        """
        if self.facts is None:
            return preset
        return bind(preset, self.facts, self.family)

    def as_they_stand(self) -> Catalogue:
        """Returns the same presets without temperature scales: every number counts as it stands."""
        presets = {name: preset.as_it_stands() for name, preset in self.presets.items()}
        return replace(self, presets=presets)

    @classmethod
    def load(cls, paths: Iterable[str | Path] = (), *, environment: bool = True) -> Catalogue:
        """Loads the shipped presets, then those of `TEMPERAMENT_PRESETS`, then those of `paths`.

        A path is a YAML file or a folder of them. A later preset replaces an earlier one of the
        same name, and may extend it by that name. Files that haven't changed since the last call
        aren't read again. Raises `PresetError` with all problems of all files.
        """
        named: list[tuple[str, Path]] = [("", shipped() / folder) for folder in FOLDERS]
        if environment:
            named += [(VARIABLE, path) for path in environment_paths()]
        named += [("presets", Path(path)) for path in paths]
        key = tuple(named)
        now = stamps(path for _, path in named)
        before = _loaded.get(key, _Loaded())
        if before.catalogue is not None and before.stamps == now and None not in now:
            return before.catalogue
        loader = _Loader(before.definitions, now)
        for origin, path in named:
            for file in loader.files(path, origin):
                loader.read(file)
        if len(_loaded) >= _MOST_LOADED and key not in _loaded:
            _loaded.clear()
        _loaded[key] = _Loaded(now, loader.known)  # `finish` may raise
        catalogue = loader.finish()
        _loaded[key] = _Loaded(now, loader.known, catalogue)
        return catalogue


def environment_paths() -> list[Path]:
    """Returns the files and folders in `TEMPERAMENT_PRESETS`, separated as in PATH."""
    return [Path(item) for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]


def check(files: Iterable[Path]) -> Catalogue:
    """Returns the catalogue with `files` added. Raises `PresetError` with all their problems."""
    return Catalogue.load(files)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


@dataclass(frozen=True, slots=True)
class _Definition:
    """One file: its checked fields, and their lines."""

    parsed: Parsed
    document: source.Document

    def problem(self, field: str, message: str, *rest: Any) -> Problem:
        return Problem(self.document.locate((field,)), field, message, *rest)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was read from some paths; there is no catalogue if the files have problems.

    `definitions` has each file with the stamp that it had before it was read.
    """

    stamps: tuple[Stamp | None, ...] = ()
    definitions: Mapping[Path, tuple[Stamp, _Definition]] = field(default_factory=dict)
    catalogue: Catalogue | None = None


@dataclass(frozen=True, slots=True)
class _Extended:
    """A preset with everything that it extends merged in.

    `definitions` are the preset's file and those that it extends. `complete` is false if one of
    these is missing: it doesn't exist, it extends this preset again, or its file can't be read.
    `readable` is false in the last case.
    """

    preset: Preset
    definitions: tuple[_Definition, ...]
    complete: bool = True
    readable: bool = True


class _Loader:
    """Reads files and collects their problems, then merges each preset with what it extends.

    A file that has the same stamp `before` and `now` isn't read again.
    """

    def __init__(
        self, before: Mapping[Path, tuple[Stamp, _Definition]], now: Iterable[Stamp | None]
    ) -> None:
        self._before = before
        self._now = {Path(stamp.path): stamp for stamp in now if stamp is not None}
        self.known: dict[Path, tuple[Stamp, _Definition]] = {}  # of files whose text is in order
        self.definitions: dict[str, list[_Definition]] = {}  # by name, the earliest first
        self.unreadable: set[str] = set()  # names of files that exist and have no fields
        self.problems: list[Problem] = []

    def files(self, path: Path, origin: str) -> list[Path]:
        """The preset files of a path; `origin` is where the path was set."""
        wrong, allowed = shown(str(path)), "a YAML file or a folder of them"
        try:
            if path.is_dir():
                found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
                first: dict[str, Path] = {}
                for file in found:
                    other = first.setdefault(file.stem, file)
                    if other != file:
                        message = f"defines {file.stem!r}, and so does {other.name}"
                        self.problems.append(Problem(str(file), "", message))
                return found
            if path.is_file():
                return [path]
        except OSError as error:
            reason = f"can't be read: {error.strerror or error}"
            self.problems.append(Problem(origin, "", reason, wrong, allowed))
            return []
        self.problems.append(Problem(origin, "", "no such file or folder", wrong, allowed))
        return []

    def read(self, path: Path) -> None:
        """Adds a file's definition; its problems are kept for the end."""
        name, stamp = path.stem, self._now.get(path)
        last, definition = self._before.get(path, (None, None))
        if definition is None or stamp is None or stamp != last:
            definition = self._definition(path)
        valid_name = NAME.fullmatch(name) is not None
        if not valid_name:
            message = "a file's name is its preset's name"
            self.problems.append(Problem(str(path), "", message, shown(name), NAME_ALLOWED))
            self.unreadable.add(_fold(name))
        if definition is None:
            self.unreadable.add(name)
            return
        self.problems += definition.parsed.problems
        if stamp is not None and not definition.document.problems:
            self.known[path] = stamp, definition
        if valid_name:
            self.definitions.setdefault(name, []).append(definition)

    def _definition(self, path: Path) -> _Definition | None:
        """What a file says, None if it has no fields; its text's problems are kept for the end."""
        document = source.read(path)
        self.problems += document.problems
        if document.data is None and document.problems:
            return None
        parsed = parse(path.stem, document.data, document.locate)
        if document.problems:  # a mode or a rule may be missing
            parsed = replace(parsed, modes_complete=False)
        return _Definition(parsed, document)

    def finish(self) -> Catalogue:
        """The catalogue. Raises `PresetError` with all problems of all files."""
        extended = {
            name: self._extended(name, len(versions) - 1, ())
            for name, versions in self.definitions.items()
        }
        presets = {name: each.preset for name, each in extended.items()}
        for name, each in extended.items():
            if each.readable:
                presets[name] = self._with_modes(each, presets)
        aliases = self._aliases(presets)
        catalogue = Catalogue(presets, aliases)
        for versions in self.definitions.values():
            for definition in versions:
                data, locate = definition.parsed.data, definition.document.locate
                self.problems += pick_problems(data, catalogue.find, [*presets], locate)
        if self.problems:
            raise PresetError(dict.fromkeys(self.problems))
        return catalogue

    def _with_modes(self, extended: _Extended, presets: Mapping[str, Preset]) -> Preset:
        """The preset with what its modes extend; its modes and rules are checked."""
        parsed = [definition.parsed for definition in extended.definitions]
        locate = extended.definitions[0].document.locate
        preset, problems = check_modes(
            extended.preset, parsed, presets, locate, self.unreadable, complete=extended.complete
        )
        self.problems += problems
        return preset

    def _extended(self, name: str, version: int, children: tuple[str, ...]) -> _Extended:
        """Returns a version of a preset, merged over what it extends.

        `children` are the names of the presets that led here: each extends the next one, and the
        last one extends this preset. They show a circle.
        """
        definition = self.definitions[name][version]
        preset, parent = definition.parsed.preset, definition.parsed.parent
        if parent is None:
            complete = "extends" not in definition.parsed.data
            return _Extended(preset, (definition,), complete)
        alone = _Extended(preset, (definition,), complete=False)
        parent = parent if parent in self.definitions else _fold(parent)
        if parent == name and version > 0:
            base = self._extended(name, version - 1, children)
            if not preset.aliases:
                preset = replace(preset, aliases=base.preset.aliases)
        elif parent in (*children, name):
            path = (*children, name)
            circle = " -> ".join((*path[path.index(parent) :], parent))
            self.problems.append(definition.problem("extends", f"goes in a circle: {circle}"))
            return alone
        elif parent in self.definitions:
            base = self._extended(parent, len(self.definitions[parent]) - 1, (*children, name))
        elif parent in self.unreadable:
            return replace(alone, readable=False)
        else:
            others = [other for other in self.definitions if other != name]
            without_problems = (
                other for other in others if not self.definitions[other][-1].parsed.problems
            )
            unknown, allowed = shown(definition.parsed.parent), ", ".join(without_problems)
            close = nearest(parent, others)
            self.problems.append(
                definition.problem("extends", "unknown preset", unknown, allowed, close)
            )
            return alone
        definitions = (definition, *base.definitions)
        merged = preset.extending(base.preset)
        return _Extended(merged, definitions, base.complete, base.readable)

    def _aliases(self, presets: Mapping[str, Preset]) -> dict[str, str]:
        """Alias -> the preset's name, for all of them."""
        owners: dict[str, str] = {}
        for name, preset in presets.items():
            for alias in preset.aliases:
                folded = _fold(alias)
                other = folded if folded in presets else owners.get(folded)
                if other is not None and other != name:
                    message = f"{alias!r} is taken by {other!r} ({presets[other].origin})"
                    problem = self.definitions[name][-1].problem(
                        "aliases", message, shown(alias), "an alias of one preset only"
                    )
                    self.problems.append(problem)
                owners.setdefault(folded, name)
        return owners
