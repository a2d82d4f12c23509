"""Passes over [rows, vocab] logits in blocks that stay in the processor's cache.

No op uses `pow`, which torch rounds differently at the end of a tensor: a row alone would get other
bits than in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from temperament.compiled.constants import PIECE

BLOCK = 128 * PIECE  # numbers in a block: five buffers of this size fit a third-level cache
BAND = 2**20  # numbers in a band of rows: allocators keep buffers of this size for reuse


def branches(tensor: Tensor) -> bool:
    """Returns whether a branch on the tensor's data costs no synchronisation: only on the CPU."""
    return tensor.device.type == "cpu"


def written_out(tensor: Tensor) -> bool:
    """Returns whether masses and sums are many operators, of the same bits everywhere.

    On a GPU they are one operator each, which is one launch.
    """
    return tensor.device.type == "cpu"


class Block(NamedTuple):
    """Some pieces of some rows."""

    rows: slice
    # which pieces of the row
    pieces: slice
    # [rows, pieces, columns], a view of the logits
    values: Tensor
    # uninitialised buffers of the same shape, for results computed from the values
    spare: tuple[Tensor, ...]

    def of(self, per_row: Tensor) -> Tensor:
        """Returns [rows, 1, 1] of one number a row ([rows, 1]), to broadcast over the block."""
        return per_row[self.rows, :, None]


def blocks(logits: Tensor, spare: int = 0) -> Iterator[Block]:
    """Yields [rows, vocab] logits (rows contiguous) block by block; a GPU gets one block.

    Each block brings `spare` buffers of its shape. All blocks share their memory: fresh memory
    costs more than the arithmetic.
    """
    rows, columns = logits.shape
    full = columns // PIECE
    size = BLOCK if branches(logits) else max(rows, 1) * max(columns, 1)
    high = max(1, min(rows, size // PIECE))
    wide = max(1, size // (PIECE * high))
    memory = logits.new_empty(spare, high * max(1, min(wide, full)) * min(PIECE, columns))

    def block(band: slice, pieces: slice, values: Tensor) -> Block:
        views = tuple(buffer[: values.numel()].view(values.shape) for buffer in memory)
        return Block(band, pieces, values, views)

    for top in range(0, rows, high):
        band = slice(top, min(top + high, rows))
        part = logits[band]
        for first in range(0, full, wide):
            last = min(first + wide, full)
            values = part[:, first * PIECE : last * PIECE].view(-1, last - first, PIECE)
            yield block(band, slice(first, last), values)
        if full * PIECE < columns:
            yield block(band, slice(full, full + 1), part[:, full * PIECE :].unsqueeze(1))


def bands(logits: Tensor) -> list[slice]:
    """Returns slices of rows that are small enough for an op to copy."""
    rows, columns = logits.shape
    high = max(1, BAND // max(columns, 1)) if branches(logits) else max(rows, 1)
    return [slice(top, top + high) for top in range(0, rows, high)]
