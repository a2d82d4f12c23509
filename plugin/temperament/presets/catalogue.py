"""All presets that can be named: the shipped ones, then the user's, later ones winning."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from temperament.errors import PresetError, Problem, TemperamentError, UnknownPreset, nearest, shown
from temperament.presets import models, schema, source, switching
from temperament.presets.markers import configs as shipped
from temperament.presets.models import Facts, Family
from temperament.presets.preset import Preset

VARIABLE = "TEMPERAMENT_PRESETS"


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
        """The preset of a name or alias, upper and lower case alike.

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

    def for_model(self, model: str | Path | Facts) -> Catalogue:
        """Returns the same presets, bound to a model: its name, its folder, or its facts.

        Raises `PresetError` if a folder's `config.json` can't be read.
        """
        facts = models.facts_of(model)
        family = models.family_of(facts)
        bound = {name: models.bind(p, facts, family) for name, p in self.presets.items()}
        return Catalogue(bound, self.aliases, facts, family)

    def bind(self, preset: Preset) -> Preset:
        """Returns `preset` bound to this catalogue's model; as it is if there is none.

        What can't be bound is reported by `Preset.unbound`.
        """
        if self.facts is None:
            return preset
        return models.bind(preset, self.facts, self.family)

    @classmethod
    def load(cls, paths: Iterable[str | Path] = (), *, environment: bool = True) -> Catalogue:
        """Shipped presets, then those of `TEMPERAMENT_PRESETS`, then those of `paths`.

        A path is a YAML file or a folder of them. A later preset replaces an earlier one of the
        same name, and may extend it by that name. Raises `PresetError` with all problems of all
        files.
        """
        named: list[tuple[str, Path]] = [
            ("", shipped() / "presets"),
            ("", shipped() / "modes"),
        ]
        if environment:
            named += [(VARIABLE, path) for path in environment_paths()]
        named += [("presets", Path(path)) for path in paths]
        loader = _Loader()
        for origin, path in named:
            for file in loader.files(path, origin):
                loader.read(file)
        return loader.finish()


def environment_paths() -> list[Path]:
    """Returns the files and folders that `TEMPERAMENT_PRESETS` lists, as PATH lists folders."""
    return [Path(item) for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]


def check(files: Iterable[Path]) -> Catalogue:
    """The catalogue with `files` added; raises `PresetError` with all their problems."""
    return Catalogue.load(files)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


@dataclass(frozen=True, slots=True)
class _Definition:
    """What one file says, and the name that it extends."""

    preset: Preset
    parent: str | None
    document: source.Document

    def problem(self, field: str, message: str, *rest: Any) -> Problem:
        return Problem(self.document.where((field,)), field, message, *rest)


class _Loader:
    """Collects definitions and problems, then resolves what extends what."""

    def __init__(self) -> None:
        self.definitions: dict[str, list[_Definition]] = {}  # by name, the earliest first
        self.broken: set[str] = set()  # names of files with problems: known, but not usable
        self.problems: list[Problem] = []

    def files(self, path: Path, origin: str) -> list[Path]:
        given, allowed = shown(str(path)), "a YAML file or a folder of them"
        try:
            if path.is_dir():
                found = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
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
            self.problems.append(Problem(origin, "", reason, given, allowed))
            return []
        self.problems.append(Problem(origin, "", "no such file or folder", given, allowed))
        return []

    def read(self, path: Path) -> None:
        document = source.read(path)
        self.problems += document.problems
        name = path.stem
        if not schema.NAME.fullmatch(name):
            self.problems.append(
                Problem(
                    str(path),
                    "",
                    "a file's name is its preset's name",
                    shown(name),
                    schema.NAME_ALLOWED,
                )
            )
            self.broken.add(_fold(name))
            return
        if document.data is None and document.problems:
            self.broken.add(name)
            return
        try:
            preset, parent = schema.preset(name, document.data, document=document)
        except TemperamentError as error:
            self.problems += error.problems
            self.broken.add(name)
            return
        self.definitions.setdefault(name, []).append(_Definition(preset, parent, document))

    def finish(self) -> Catalogue:
        presets = {}
        for name, versions in self.definitions.items():
            resolved = self._resolve(name, len(versions) - 1, ())
            if resolved is not None:
                presets[name] = resolved
        for name, preset in list(presets.items()):
            if preset.modes or preset.start or preset.switch:
                where = self.definitions[name][-1].document.where
                presets[name], problems = switching.take_over(preset, presets, where)
                self.problems += problems or switching.problems(presets[name], where)
        aliases = self._aliases(presets)
        if self.problems:
            raise PresetError(dict.fromkeys(self.problems))
        return Catalogue(presets, aliases)

    def _resolve(self, name: str, version: int, above: tuple[str, ...]) -> Preset | None:
        definition = self.definitions[name][version]
        preset, parent = definition.preset, definition.parent
        if parent is None:
            return preset
        parent = parent if parent in self.definitions else _fold(parent)
        if parent == name and version > 0:
            base = self._resolve(name, version - 1, above)
            if base is not None and not preset.aliases:
                preset = replace(preset, aliases=base.aliases)
        elif parent in self.broken:  # its own problems are told
            return None
        elif parent in (*above, name):
            path = (*above, name)
            circle = " -> ".join((*path[path.index(parent) :], parent))
            self.problems.append(definition.problem("extends", f"goes in a circle: {circle}"))
            return None
        elif parent in self.definitions:
            base = self._resolve(parent, len(self.definitions[parent]) - 1, (*above, name))
        else:
            others = [other for other in self.definitions if other != name]
            given, allowed = shown(definition.parent), ", ".join(others)
            close = nearest(parent, others)
            self.problems.append(
                definition.problem("extends", "unknown preset", given, allowed, close)
            )
            return None
        return None if base is None else preset.extending(base)

    def _aliases(self, presets: Mapping[str, Preset]) -> dict[str, str]:
        owner: dict[str, str] = {}
        for name, preset in presets.items():
            for alias in preset.aliases:
                folded = _fold(alias)
                other = folded if folded in presets else owner.get(folded)
                if other is not None and other != name:
                    message = f"{alias!r} is taken by {other!r} ({presets[other].origin})"
                    problem = self.definitions[name][-1].problem(
                        "aliases", message, shown(alias), "an alias of one preset only"
                    )
                    self.problems.append(problem)
                owner.setdefault(folded, name)
        return owner
