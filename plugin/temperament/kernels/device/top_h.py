"""Top-h: by the entropy of the 100 most likely tokens (`temperament.ops.top_h`).

A search for the 100 largest comes first.
"""

import triton
import triton.language as tl

from temperament.kernels.device.bits import FLOAT_MAX, INFINITY
from temperament.kernels.device.opcodes import N_TOP_H
from temperament.kernels.device.row import mass_of, next_value, value_of
from temperament.kernels.device.search import BY_VALUE, extent

TOP = tl.constexpr(100)  # the tokens of which the probabilities are read


@triton.jit
def share_of(number):
    """The share of the entropy that stays; 0 cuts nothing."""
    return tl.load(number + N_TOP_H)


@triton.jit
def bound_of(row, sums, share, BLOCK: tl.constexpr):
    """The least value that stays of a row of the 100 largest, and what is tied with the last."""
    bound = row.best * 0.0 - INFINITY
    if share > 0.0:
        every = row.best * 0.0 - FLOAT_MAX
        least, _most = extent(row, row.best, BY_VALUE, every, BLOCK)
        last = value_of(row, least)
        most = tl.minimum(sums.allowed, TOP)
        # the tied ones beyond 100 don't count
        tied = (sums.allowed - most).to(tl.float64)
        last_mass = mass_of(row, last).to(tl.float64)
        mass = sums.total - tied * last_mass
        distance = (last - row.best).to(tl.float64)
        entropy = tl.log(mass) - (sums.weighted - tied * last_mass * distance) / mass
        if share >= 1.0:
            most = tl.full((), 0, tl.int32)
        seen = tl.full((), 0, tl.int32)
        above = row.best * 0.0 + INFINITY
        running = tl.full((), 0.0, tl.float64)
        while seen < most:
            value, same = next_value(row, above, BLOCK)
            above = value
            distance = (value - row.best).to(tl.float64)
            # what a token adds to the entropy
            part = tl.exp(distance) / mass * (tl.log(mass) - distance)
            if (seen == 0) | (running + part <= share * entropy):
                bound = value
            else:
                seen = most
            running += part * same
            seen += same
    return bound
