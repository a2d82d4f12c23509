"""The entropies of every setting on every context, kept in a file that a second run continues."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from temperament.errors import EngineError, Problem
from temperament.studio.grid import Grid
from temperament.studio.model_source import Source
from temperament.studio.study.contexts import Context
from temperament.studio.study.sweep import DIGEST, SETTINGS

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """One model's entropies in nats: `entropy` is [contexts, settings], `kinds` [contexts]."""

    model: str
    kinds: tuple[str, ...]
    entropy: Array


async def measure(source: Source, contexts: Sequence[Context], path: Path) -> Measured:
    """Measures the contexts that `path` lacks, with one forward pass for each.

    The file has a line for each context, written when the context is done. Raises `EngineError` if
    the file belongs to another model or to other settings.
    """
    known = read(path, source.name)
    grid = Grid(SETTINGS)
    missing = [context for context in contexts if context.digest not in known]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if file.tell() == 0:
            print(_head(source.name), file=file)
        for context in tqdm(missing, desc=source.name, unit="context", disable=not missing):
            logits = await source.logits(await source.encode(context.text))
            entropies, _ = grid.measure(logits.row)
            known[context.digest] = [round(value, 5) for value in entropies.tolist()]
            line = {
                "context": context.digest,
                "kind": context.kind,
                "entropy": known[context.digest],
            }
            print(json.dumps(line, separators=(",", ":")), file=file, flush=True)
    return Measured(
        source.name,
        tuple(context.kind for context in contexts),
        np.array([known[context.digest] for context in contexts], dtype=np.float64),
    )


def read(path: Path, model: str) -> dict[str, list[float]]:
    """The entropies in a file by their context's digest; none if there is no file.

    A last line without its line break is incomplete, and is removed from the file.
    """
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        path.write_text(complete, encoding="utf-8")
    head, *lines = complete.splitlines() or [_head(model)]
    if head != _head(model):
        raise EngineError(
            Problem(str(path), "", "belongs to another model or other settings", head)
        )
    entries = map(json.loads, lines)
    return {entry["context"]: entry["entropy"] for entry in entries}


def _head(model: str) -> str:
    return json.dumps({"model": model, "settings": DIGEST})
