"""What writes a row: new values in place of the logits, and the end of a chain."""

import triton
import triton.language as tl

from temperament.kernels.device import adaptive_p, renormalize_logits, smoothing, xtc
from temperament.kernels.device.bits import INFINITY
from temperament.kernels.device.opcodes import ADAPTIVE, RENORMALIZE, SMOOTHING, XTC
from temperament.kernels.device.row import AHEAD, read, tokens_of, value_of


@triton.jit
def rewrite(row, op, one, two, protected, protected_width, newline, newlines, BLOCK: tl.constexpr):
    """Writes new values in place of the logits, and -inf for removed tokens; the largest.

    The new values are the old ones, or what the operation makes of them with its numbers.
    """
    lanes = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], -INFINITY, tl.float32)
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        at = start + lanes
        _x, value, allowed = read(row, at)
        if op == SMOOTHING:
            value = smoothing.bent(value, row.best, one, two)
        elif op == RENORMALIZE:
            value = renormalize_logits.normalised(value, row.best, one)
        elif op == ADAPTIVE:
            value = adaptive_p.adapted(value, one, two)
        elif op == XTC:
            kept = xtc.stays(row, at, value, one, protected, protected_width, newline, newlines)
            allowed = allowed & kept
        value = tl.where(allowed, value, -INFINITY)
        largest = tl.maximum(largest, value)
        tl.store(row.base + at, value, mask=at < row.length)
    tl.debug_barrier()
    return tl.max(largest, 0)


@triton.jit
def emit(target, row, vocabulary, BLOCK: tl.constexpr):
    """Writes the row's values, and -inf for removed tokens, to `target`."""
    lanes = tl.arange(0, BLOCK)
    if row.listed != 0:
        for start in range(0, vocabulary, BLOCK):
            at = start + lanes
            nothing = tl.full([BLOCK], -INFINITY, tl.float32)
            tl.store(target + at, nothing, mask=at < vocabulary)
        tl.debug_barrier()
    for start in tl.range(0, row.length, BLOCK, num_stages=AHEAD):
        at = start + lanes
        x = tl.load(row.base + at, mask=at < row.length, other=-INFINITY)
        inside = (x >= row.low) & (x <= row.high)
        value = tl.where(inside, value_of(row, x), -INFINITY)
        tl.store(target + tokens_of(row, at), value, mask=at < row.length)
    tl.debug_barrier()
