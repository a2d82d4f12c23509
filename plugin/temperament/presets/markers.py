"""The texts that models write around parts of their answers, by name: `configs/markers.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from temperament.errors import PresetError
from temperament.presets import source


def configs() -> Path:
    """Returns the folder `configs/`: in the package, or in the tree for an editable install."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


@cache
def markers() -> Mapping[str, tuple[str, ...]]:
    """Each marker's texts. Raises `PresetError` if the file can't be read."""
    document = source.read(configs() / "markers.yaml")
    if document.problems:
        raise PresetError(document.problems)
    return {name: tuple(entry["text"] for entry in known) for name, known in document.data.items()}
