"""The tokens of every slot on the device: written once, appended step by step.

Engines that keep the tokens themselves (V2, Transformers) make a `History` of theirs instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.ops.history import History


class TokenLog:
    """Prompt and output tokens of `slots` slots; grows with the longest row."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        # [slots, capacity]
        self._tokens = torch.zeros(slots, 0, dtype=torch.int64, device=device)
        # [slots] on the host: where the prompt ends and how many tokens there are
        self._prompt_end = np.zeros(slots, dtype=np.int64)
        self._end = np.zeros(slots, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._end)

    @property
    def ends(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[slots] how many tokens each slot has."""
        return self._end

    @property
    def prompt_ends(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[slots] how many of them are the prompt's."""
        return self._prompt_end

    def write(self, slot: int, prompt: Sequence[int], output: Sequence[int]) -> None:
        """A request's tokens so far; what the slot held before is gone."""
        tokens = [*prompt, *output]
        self._reserve(len(tokens))
        self._tokens[slot, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        self._prompt_end[slot] = len(prompt)
        self._end[slot] = len(tokens)

    def append(self, tokens: Tensor, slots: np.ndarray[Any, Any] | None = None) -> None:
        """One more token for each of the slots (all by default): [n] int64 on the device."""
        where = np.arange(len(self._end)) if slots is None else slots
        if not len(where):
            return
        self._reserve(int(self._end[where].max()) + 1)
        place = (self._index(where), self._index(self._end[where]))
        self._tokens.index_put_(place, tokens)
        self._end[where] += 1

    def rewrite_output(self, slot: int, output: Sequence[int]) -> None:
        """The output tokens of a slot, whatever was known of them before."""
        start = int(self._prompt_end[slot])
        self._reserve(start + len(output))
        self._tokens[slot, start : start + len(output)] = torch.tensor(output, dtype=torch.int64)
        self._end[slot] = start + len(output)

    def lists(self, slot: int) -> tuple[list[int], list[int]]:
        """(prompt, output) of a slot, on the host."""
        middle, end = int(self._prompt_end[slot]), int(self._end[slot])
        tokens = self._tokens[slot, :end].tolist()
        return tokens[:middle], tokens[middle:]

    def copy(self, source: int, target: int) -> None:
        """The tokens of one slot, in another too."""
        self._tokens[target] = self._tokens[source]
        self._prompt_end[target] = self._prompt_end[source]
        self._end[target] = self._end[source]

    def swap(self, one: int, other: int) -> None:
        """Two slots change places."""
        pair, turned = [one, other], [other, one]
        self._tokens[pair] = self._tokens[turned]
        self._prompt_end[pair] = self._prompt_end[turned]
        self._end[pair] = self._end[turned]

    def history(self, slots: np.ndarray[Any, Any]) -> History:
        """The history of a batch whose row i is slot `slots[i]`."""
        longest = int(self._end[slots].max(initial=0))
        tokens = self._tokens[:, :longest]
        if np.array_equal(slots, np.arange(len(slots))):
            tokens = tokens[: len(slots)]
        else:
            tokens = tokens.index_select(0, self._index(slots))
        return History(
            tokens,
            torch.zeros(len(slots), dtype=torch.int64, device=self.device),
            self._index(self._prompt_end[slots]),
            self._index(self._end[slots]),
        )

    def _index(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, copy=True)

    def _reserve(self, length: int) -> None:
        capacity = self._tokens.shape[1]
        if length <= capacity:
            return
        grown = self._tokens.new_zeros(self._tokens.shape[0], max(64, 2 * capacity, length))
        grown[:, :capacity] = self._tokens
        self._tokens = grown
