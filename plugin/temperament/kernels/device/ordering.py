"""What the stages do that need a row's order: tfs, min-k, ees and skew."""

import triton
import triton.language as tl

from temperament.kernels.device import ees, min_k, skew, sorting, tfs
from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import EES, MIN_K, SKEW, TFS


@triton.jit
def wants_order(op, number):
    """Whether the operation changes anything, and so needs the order."""
    wanted = tl.full((), 0, tl.int32)
    if op == TFS:
        wanted += (tfs.share_of(number) < 1.0).to(tl.int32)
    elif op == MIN_K:
        wanted += min_k.is_on(number).to(tl.int32)
    elif op == EES:
        wanted += ees.is_on(number).to(tl.int32)
    elif op == SKEW:
        wanted += (skew.amount_of(number) != 0.0).to(tl.int32)
    return wanted


@triton.jit
def in_order(
    op,
    row,
    largest,
    allowed,
    total,
    number,
    values,
    places,
    distance,
    BLOCK: tl.constexpr,
    LANES: tl.constexpr,
):
    """Sorts the `largest` tokens of a row, and the whole row where these don't decide it.

    `allowed` is the number of allowed tokens and `total` their mass. `values` and `places` have
    room for twice `distance` numbers. Returns the least value that stays, or after skew, which
    writes the row, the largest that was written.
    """
    part = largest
    found = row.best * 0.0 - INFINITY
    decided = tl.full((), 0, tl.int32)
    while decided == 0:
        begin = sorting.sort(part, values, places, distance, op == SKEW, LANES)
        count = tl.minimum(part.length, allowed)
        if op == TFS:
            share = tfs.share_of(number)
            found, enough = tfs.bound_of(row.best, values + begin, count, allowed, share, BLOCK)
            decided += enough.to(tl.int32)
        elif op == MIN_K:
            found, enough = min_k.bound_of(row, values + begin, count, allowed, number, BLOCK)
            decided += enough.to(tl.int32)
        elif op == EES:
            found, enough = ees.bound_of(row.best, values + begin, count, allowed, total, BLOCK)
            decided += enough.to(tl.int32)
        else:
            amount = skew.amount_of(number)
            found = skew.rewrite(part, values + begin, places + begin, amount, BLOCK)
            decided += 1
        tl.debug_barrier()
        part = row
    return found
