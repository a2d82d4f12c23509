"""Passes over [rows, vocab] logits in blocks that stay in the processor's cache.

Every sum that decides about a row is made in pieces of a fixed size, since torch splits a long sum
of a single row among threads but not that of many rows: a row alone would round differently. For
the same reason there is no `pow`: torch rounds it differently at the end of a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

PIECE = 4096  # columns in a piece of a sum; torch sums so few on one thread
BLOCK = 64 * PIECE  # numbers in a block: two buffers of so many lie in a core's second cache
BAND = 2**20  # numbers in a band of rows: a memory manager keeps so much at hand
# What lies so far below the largest logit has no mass that a float32 sum would notice. There the
# exponential is still a normal number; below, a CPU's vectorised one takes 100 times as long.
NO_MASS = -87.0
LEAST_MASS = math.exp(NO_MASS)

# (x - max, but at least `NO_MASS`; its mass e^(x - max); memory), of one shape -> what is summed
# over the row. A term may change the mass, for those that come after it.
Term = Callable[[Tensor, Tensor, Tensor], Tensor]


def branches(tensor: Tensor) -> bool:
    """Whether a branch on the tensor's data is free: on the CPU alone."""
    return tensor.device.type == "cpu"


class Block(NamedTuple):
    """Some pieces of some rows."""

    rows: slice
    # which pieces of the row
    pieces: slice
    # [rows, pieces, columns], a view of the logits
    values: Tensor
    # of that shape each, with anything in them: memory for what is computed from the values
    spare: tuple[Tensor, ...]

    def of(self, per_row: Tensor) -> Tensor:
        """[rows, 1, 1] of numbers for each row ([rows, 1]), to be broadcast over the block."""
        return per_row[self.rows, :, None]


def blocks(logits: Tensor, spare: int = 0) -> Iterator[Block]:
    """All of [rows, vocab] logits (rows contiguous), block by block; a GPU takes all at once.

    `spare` is how many more tensors of a block's shape are wanted. They are the same memory for
    every block: fresh memory costs more than the arithmetic.
    """
    rows, columns = logits.shape
    whole = columns // PIECE
    size = BLOCK if branches(logits) else max(rows, 1) * max(columns, 1)
    high = max(1, min(rows, size // PIECE))
    wide = max(1, size // (PIECE * high))
    memory = logits.new_empty(spare, high * max(1, min(wide, whole)) * min(PIECE, columns))

    def block(band: slice, pieces: slice, values: Tensor) -> Block:
        views = tuple(buffer[: values.numel()].view(values.shape) for buffer in memory)
        return Block(band, pieces, values, views)

    for top in range(0, rows, high):
        band = slice(top, min(top + high, rows))
        part = logits[band]
        for first in range(0, whole, wide):
            last = min(first + wide, whole)
            values = part[:, first * PIECE : last * PIECE].view(-1, last - first, PIECE)
            yield block(band, slice(first, last), values)
        if whole * PIECE < columns:
            yield block(band, slice(whole, whole + 1), part[:, whole * PIECE :].unsqueeze(1))


def bands(logits: Tensor) -> list[slice]:
    """Some rows at a time, so that what an op makes beside the logits stays small."""
    rows, columns = logits.shape
    high = max(1, BAND // max(columns, 1)) if branches(logits) else max(rows, 1)
    return [slice(top, top + high) for top in range(0, rows, high)]


def sums(logits: Tensor, maximum: Tensor, *terms: Term) -> list[Tensor]:
    """The sum of each term over each row, [rows, 1] float64, the same bits in any batch."""
    rows, columns = logits.shape
    parts = logits.new_empty(len(terms), rows, -(-columns // PIECE))
    for block in blocks(logits, spare=3):
        distance, mass, product = block.spare
        torch.sub(block.values, block.of(maximum), out=distance).clamp_(min=NO_MASS)
        torch.exp(distance, out=mass)
        for part, term in zip(parts, terms, strict=True):
            part[block.rows, block.pieces] = term(distance, mass, product).sum(-1)
    return list(parts.sum(-1, keepdim=True, dtype=torch.float64))


def allowed(logits: Tensor) -> Tensor:
    """How many tokens of each row are not -inf: [rows, 1] float64."""
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
    """The same where the total may be tiny: what has no mass counts 0, for later terms too."""
    return mass.sub_(LEAST_MASS)


def squared_mass(_distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to `S^2 * sum p^2`."""
    return torch.mul(mass, mass, out=spare)


def weighted_distance(distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to `S * mean`, the mean of x - max by probability. The entropy is `ln S - mean`."""
    return torch.mul(mass, distance, out=spare)
