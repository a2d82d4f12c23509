"""Sums over each row of [rows, vocab] logits, with the same bits on any processor.

A row is divided into pieces, and a piece into halves that are added number by number, and so on:
the order of the additions is that of no processor's vectors and of no number of threads. On a CPU
they are compiled where that is prepared, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from temperament.compiled.constants import LEAST_MASS, NO_MASS, PIECE
from temperament.ops import compiled_rows
from temperament.ops.blocks import BLOCK, blocks, branches, written_out
from temperament.ops.exponential import masses_of, set_masses

# (distance x - max, at least `NO_MASS`; mass e^(x - max); a buffer), all of one shape -> the
# numbers that are summed over the row. A term may change the mass in place for the terms after it.
Term = Callable[[Tensor, Tensor, Tensor], Tensor]


def sums(logits: Tensor, *terms: Term) -> tuple[Tensor, ...]:
    """Returns [rows, 1] of each row: its maximum (float32), and the sums of the terms (float64).

    A row has the same bits in any batch.
    """
    if compiled_rows.compiles(logits):
        return compiled_rows.sums(logits, COMPILED.index(terms), len(terms))
    maximum = logits.amax(dim=-1, keepdim=True)
    return maximum, *sums_below(logits, maximum, *terms)


def sums_below(logits: Tensor, maximum: Tensor, *terms: Term) -> list[Tensor]:
    """Returns each term's sum over each row, [rows, 1] float64, by torch's operators."""
    rows, columns = logits.shape
    if branches(logits) and columns <= PIECE and rows * columns <= BLOCK:  # one piece, one block
        distance = (logits - maximum).clamp_(min=NO_MASS)
        mass, product = masses_of(distance), torch.empty_like(distance)
        return [add_up(term(distance, mass, product))[:, None].double() for term in terms]
    parts = logits.new_empty(len(terms), rows, -(-columns // PIECE))
    for block in blocks(logits, spare=4):
        distance, mass, product, power = block.spare
        torch.sub(block.values, block.of(maximum), out=distance).clamp_(min=NO_MASS)
        set_masses(distance, mass, product, power)
        for part, term in zip(parts, terms, strict=True):
            part[block.rows, block.pieces] = add_up(term(distance, mass, product), power)
    return [*add_up(parts.double())[..., None]]


def add_up(numbers: Tensor, memory: Tensor | None = None) -> Tensor:
    """Returns the sum over the last dimension: the second half is added to the first, and so on.

    The first half is as long as the largest power of two that is less than the whole. `memory` is a
    buffer of the same shape, which may be that of the numbers. On a GPU it is one operator.
    """
    size = numbers.shape[-1]
    if size == 1 or not written_out(numbers):
        return numbers.sum(-1)
    half = 1 << ((size - 1).bit_length() - 1)
    added = (torch.empty_like(numbers) if memory is None else memory)[..., :half]
    rest = size - half
    torch.add(numbers[..., :rest], numbers[..., half:], out=added[..., :rest])
    if rest < half:
        added[..., rest:] = numbers[..., rest:half]
    while half > 1:
        half //= 2
        added = added[..., :half].add_(added[..., half:])
    return added[..., 0]


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


def squared_mass(_distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to `S^2 * sum p^2`."""
    return torch.mul(mass, mass, out=spare)


def weighted_distance(distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to `S * mean`, the mean of x - max by probability. The entropy is `ln S - mean`."""
    return torch.mul(mass, distance, out=spare)


def largest_count(distance: Tensor, _mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to the number of tokens with the largest logit."""
    return torch.eq(distance, 0, out=spare)


def smaller_mass(distance: Tensor, mass: Tensor, spare: Tensor) -> Tensor:
    """Sums to a total that may be tiny: that of the tokens below the largest, in later terms too.

    Tokens without mass count 0.
    """
    return mass.sub_(LEAST_MASS).mul_(torch.lt(distance, 0, out=spare))


# those that are compiled, in the order of `compiled.cuts`
COMPILED: list[tuple[Term, ...]] = [
    (mass,),
    (mass, squared_mass),
    (mass, weighted_distance),
    (largest_count, smaller_mass, weighted_distance),
]
