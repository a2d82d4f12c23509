"""Passes over [rows, vocab] logits in blocks that stay in the processor's cache.

Every sum that decides about a row adds pieces of a fixed size. torch splits a long sum of a single
row among threads, but not the sums of many rows: without the pieces a row alone would round
differently than in a batch. For the same reason no op uses `pow`, which torch rounds differently at
the end of a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

PIECE = 4096  # columns in a piece of a sum: torch sums this few on one thread
BLOCK = 64 * PIECE  # numbers in a block: two buffers of this size fit a core's second-level cache
BAND = 2**20  # numbers in a band of rows: allocators keep buffers of this size for reuse
# A logit this far below the largest has a mass too small for a float32 sum to notice. Its
# exponential is still a normal number: for subnormal ones a CPU's vectorised `exp` takes 100 times
# as long.
NO_MASS = -87.0
LEAST_MASS = math.exp(NO_MASS)

# (distance x - max, at least `NO_MASS`; mass e^(x - max); a buffer), all of one shape -> the
# numbers that are summed over the row. A term may change the mass in place for the terms after it.
Term = Callable[[Tensor, Tensor, Tensor], Tensor]


def branches(tensor: Tensor) -> bool:
    """Returns whether a branch on the tensor's data costs no synchronisation: only on the CPU."""
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


def sums(logits: Tensor, maximum: Tensor, *terms: Term) -> list[Tensor]:
    """Returns each term's sum over each row, [rows, 1] float64, the same bits in any batch."""
    rows, columns = logits.shape
    if branches(logits) and columns <= PIECE and rows * columns <= BLOCK:  # one piece, one block
        distance = (logits - maximum).clamp_(min=NO_MASS)
        mass, product = distance.exp(), torch.empty_like(distance)
        return [term(distance, mass, product).sum(-1, keepdim=True).double() for term in terms]
    parts = logits.new_empty(len(terms), rows, -(-columns // PIECE))
    for block in blocks(logits, spare=3):
        distance, mass, product = block.spare
        torch.sub(block.values, block.of(maximum), out=distance).clamp_(min=NO_MASS)
        torch.exp(distance, out=mass)
        for part, term in zip(parts, terms, strict=True):
            part[block.rows, block.pieces] = term(distance, mass, product).sum(-1)
    return list(parts.sum(-1, keepdim=True, dtype=torch.float64))


def allowed(logits: Tensor) -> Tensor:
    """Returns how many tokens of each row are not -inf: [rows, 1] float64."""
    rows, columns = logits.shape
    parts = logits.new_empty(rows, -(-columns // PIECE))
    for block in blocks(logits, spare=1):
        above = torch.gt(block.values, -torch.inf, out=block.spare[0])
        parts[block.rows, block.pieces] = above.sum(-1)
    return parts.sum(-1, keepdim=True, dtype=torch.float64)


def mass(_distance: Tensor, mass: Tensor, _spare: Tensor) -> Tensor:
    """Sums to the total S."""
    return mass


def small_mass(_distance: Tensor, mass: Tensor, _spare: Tensor) -> Tensor:
    """Sums to a total that may be tiny: tokens without mass count 0, in later terms too."""
    return mass.sub_(LEAST_MASS)


def squared_mass(_distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to `S^2 * sum p^2`."""
    return torch.mul(mass, mass, out=spare)


def weighted_distance(distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to `S * mean`, the mean of x - max by probability. The entropy is `ln S - mean`."""
    return torch.mul(mass, distance, out=spare)
