"""The tokens of every slot on the device: written once for each request, then appended to.

Engines that keep the tokens themselves (vLLM's V2 runner, Transformers) build the `History`
instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Slots, to_device
from temperament.ops.history import History

_FEWEST = 64  # the least capacity of a slot that has tokens


class TokenLog:
    """The prompt and output tokens of `slots` slots. All slots have the same, growing capacity."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        # [slots, capacity] int64
        self._tokens = torch.zeros(slots, 0, dtype=torch.int64, device=device)
        # [slots] on the host: where the prompt ends, and where all tokens do
        self._prompt_end = np.zeros(slots, dtype=np.int64)
        self._end = np.zeros(slots, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._end)

    @property
    def ends(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Returns [slots] the number of tokens of each slot."""
        return self._end

    @property
    def prompt_ends(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Returns [slots] the number of prompt tokens of each slot."""
        return self._prompt_end

    def write(self, slot: int, prompt: Sequence[int], output: Sequence[int]) -> None:
        """Sets the tokens of a slot."""
        tokens = [*prompt, *output]
        self._reserve(len(tokens))
        self._tokens[slot, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        self._prompt_end[slot] = len(prompt)
        self._end[slot] = len(tokens)

    def append(self, tokens: Tensor, slots: Slots | None = None) -> None:
        """Appends a token to each of the slots (None: all): [n] int64 on the device."""
        where = np.arange(len(self._end)) if slots is None else slots
        if not len(where):
            return
        self._reserve(int(self._end[where].max()) + 1)
        index = to_device(where, self.device)
        self._tokens.index_put_((index, to_device(self._end[where], self.device)), tokens)
        self._end[where] += 1

    def rewrite_output(self, slot: int, output: Sequence[int]) -> None:
        """Replaces the output tokens of a slot."""
        start = int(self._prompt_end[slot])
        self._reserve(start + len(output))
        self._tokens[slot, start : start + len(output)] = torch.tensor(output, dtype=torch.int64)
        self._end[slot] = start + len(output)

    def lists(self, slot: int) -> tuple[list[int], list[int]]:
        """Returns (prompt, output) of a slot. It waits for the device."""
        prompt_end, end = int(self._prompt_end[slot]), int(self._end[slot])
        tokens = self._tokens[slot, :end].tolist()
        return tokens[:prompt_end], tokens[prompt_end:]

    def swap(self, one: int, other: int) -> None:
        """Exchanges the tokens of two slots."""
        pair, reversed_pair = [one, other], [other, one]
        self._tokens[pair] = self._tokens[reversed_pair]
        self._prompt_end[pair] = self._prompt_end[reversed_pair]
        self._end[pair] = self._end[reversed_pair]

    def history(self, slots: Slots) -> History:
        """Returns the history of a batch whose row i is slot `slots[i]`.

        It shares memory with the log where the slots are the first ones, in order.
        """
        longest = int(self._end[slots].max(initial=0))
        tokens = self._tokens[:, :longest]
        if np.array_equal(slots, np.arange(len(slots))):
            tokens = tokens[: len(slots)]
        else:
            tokens = tokens.index_select(0, to_device(slots, self.device))
        return History(
            tokens,
            torch.zeros(len(slots), dtype=torch.int64, device=self.device),
            to_device(self._prompt_end[slots], self.device),
            to_device(self._end[slots], self.device),
        )

    def _reserve(self, length: int) -> None:
        capacity = self._tokens.shape[1]
        if length <= capacity:
            return
        room = max(_FEWEST, 2 * capacity, length)
        grown = self._tokens.new_zeros(self._tokens.shape[0], room)
        grown[:, :capacity] = self._tokens
        self._tokens = grown
