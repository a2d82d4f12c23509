"""Mirostat 1 and 2: a target for the surprise of the drawn tokens (`temperament.ops.mirostat`)."""

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import N_ETA_RATE, N_TAU
from temperament.kernels.device.row import likely, next_value

TOP = tl.constexpr(100)  # the tokens from which version 1 estimates the distribution's exponent
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def level_after(number, level, surprise, followed):
    """The most surprise in bits, float64, after the last token was drawn."""
    tau = tl.load(number + N_TAU)
    if level != level:
        level = 2.0 * tau
    if followed:
        rate = tl.load(number + N_ETA_RATE)
        level = level - rate * (-surprise.to(tl.float64) / LN_2 - tau)
    return level


@triton.jit
def bound_of(row, sums, level):
    """Version 2: the least value that stays."""
    return likely(row, tl.log(sums.total) - level * LN_2)


@triton.jit
def count_of(row, count, level, vocabulary, BLOCK: tl.constexpr):
    """Version 1: how many tokens stay, float64.

    `row` has the `TOP` largest of `count` tokens.
    """
    most = tl.minimum(count, TOP)
    previous = row.best
    above = row.best * 0.0 + INFINITY
    seen = tl.full((), 0, tl.int32)
    products = tl.full((), 0.0, tl.float64)
    while seen < most:
        value, same = next_value(row, above, BLOCK)
        above = value
        if seen > 0:
            number = seen.to(tl.float64)
            products += tl.log((number + 1.0) / number) * (previous - value).to(tl.float64)
        previous = value
        seen += same
    rank = tl.arange(0, 128).to(tl.float64)
    ratio = tl.log((rank + 1.0) / tl.maximum(rank, 1.0))
    squares = tl.sum(tl.where((rank >= 1.0) & (rank < most), ratio * ratio, 0.0), 0)
    exponent = tl.where(squares > 0.0, products / tl.maximum(squares, 1e-300), 1.0)
    exponent = tl.maximum(exponent, 1e-3)
    epsilon = exponent - 1.0
    size = tl.log(tl.maximum(vocabulary, 2).to(tl.float64))
    near = tl.abs(epsilon) < 1e-9
    some = tl.where(near, 1.0, epsilon)
    share = tl.where(near, 1.0 / size, some / (1.0 - tl.exp(-some * size)))
    wanted = tl.exp((tl.log(share) + level * LN_2) / exponent)
    wanted = tl.where(wanted == wanted, wanted, 1.0)
    return tl.floor(tl.minimum(tl.maximum(wanted, 1.0), vocabulary.to(tl.float64)))
