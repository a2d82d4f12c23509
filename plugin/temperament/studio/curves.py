"""The numbers of the reference documents' figures, for any logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.process import process
from temperament.errors import EngineError, Problem
from temperament.presets import Catalogue
from temperament.studio.grid import Grid

TEMPERATURES = (0.5, 1.0, 1.5)  # as in reference document 001
SHARES = tuple(round(0.05 * i, 2) for i in range(1, 21))
COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 500, 700, 1000)


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """One quantity along a parameter: `x` and `y` are [points] float64."""

    parameter: str
    x: Tensor
    y: Tensor


def read_logits(path: str) -> Tensor:
    """The [vocab] float32 logits in a `.npy` file. Raises `EngineError` for anything else."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EngineError(Problem(path, "", f"can't be read: {error}")) from error
    if array.ndim != 1 or array.dtype.kind != "f" or not array.size or np.isnan(array).any():
        found = f"{array.dtype} of shape {array.shape}"
        raise EngineError(Problem(path, "", "not a row of logits", found, "[vocab] floats, no NaN"))
    return torch.from_numpy(array).float()


def distributions(logits: Tensor, temperatures: Sequence[float] = TEMPERATURES) -> Tensor:
    """The probabilities at each temperature, [temperatures, vocab] float64, in vocabulary order."""
    presets = [{"temperature": value} for value in temperatures]
    rows = logits.expand(len(presets), -1)
    return process(rows, presets, catalogue=Catalogue({})).double().softmax(-1)


def entropy_by_temperature(logits: Tensor, highest: float = 2.0, points: int = 80) -> Curve:
    """Entropy in nats at `points` + 1 temperatures from 0 (greedy) to `highest`."""
    x = torch.linspace(0, highest, points + 1, dtype=torch.float64)
    entropies, _ = _grid("temperature", x.tolist()).measure(logits)
    return Curve("temperature", x, entropies)


def kept_sets(logits: Tensor) -> list[Curve]:
    """The number of tokens that top_p, top_k and min_p keep at each of their values."""
    curves = []
    possible = int((logits > -torch.inf).sum())
    counts = [count for count in COUNTS if count <= possible]
    for parameter, values in (("top_p", SHARES), ("top_k", counts), ("min_p", SHARES)):
        _, kept = _grid(parameter, values).measure(logits)
        curves.append(Curve(parameter, torch.tensor(values, dtype=torch.float64), kept.double()))
    return curves


@dataclass(frozen=True, eq=False, slots=True)
class HeatMap:
    """Entropy in nats by temperature and top_p: `entropy` is [top_p, temperature] float64."""

    temperature: Tensor
    top_p: Tensor
    entropy: Tensor


def entropy_map(logits: Tensor, points: int = 30) -> HeatMap:
    """The entropies of temperatures up to 2, then top_p up to 1, at `points` values of each."""
    temperature = torch.linspace(2 / points, 2, points, dtype=torch.float64)
    top_p = torch.linspace(1 / points, 1, points, dtype=torch.float64)
    settings = [
        {"temperature": t, "top_p": p} for p in top_p.tolist() for t in temperature.tolist()
    ]
    entropies, _ = Grid(settings).measure(logits)
    return HeatMap(temperature, top_p, entropies.reshape(points, points))


def _grid(parameter: str, values: Sequence[Any]) -> Grid:
    return Grid([{parameter: value} for value in values])
