"""The kernels of the penalties: one program a row changes the logits of the tokens in its history.

Their cost follows the length of the history. A token that occurs several times is read by each
occurrence before one writes, and each occurrence writes the same number, so their order doesn't
matter; counts are sums and maxima of integers, which don't depend on an order either. The
specification is `temperament.ops`.
"""

import triton
import triton.language as tl

from temperament.kernels import layout
from temperament.kernels.bits import FLOAT_MAX, INFINITY

END = tl.constexpr(layout.END)
ENCODER_REPETITION = tl.constexpr(layout.ENCODER_REPETITION)
REPETITION = tl.constexpr(layout.REPETITION)
FREQUENCY = tl.constexpr(layout.FREQUENCY)
PRESENCE = tl.constexpr(layout.PRESENCE)
DRY = tl.constexpr(layout.DRY)
ON_HISTORY = tl.constexpr(layout.ON_HISTORY)
NUMBERS = tl.constexpr(len(layout.COLUMNS))
STEPS = tl.constexpr(layout.STEPS)
N_ENCODER = tl.constexpr(layout.COLUMNS["encoder_repetition_penalty"])
N_REPETITION = tl.constexpr(layout.COLUMNS["repetition_penalty"])
N_RANGE = tl.constexpr(layout.COLUMNS["repetition_range"])
N_FREQUENCY = tl.constexpr(layout.COLUMNS["frequency_penalty"])
N_PRESENCE = tl.constexpr(layout.COLUMNS["presence_penalty"])
N_MULTIPLIER = tl.constexpr(layout.COLUMNS["dry_multiplier"])
N_BASE = tl.constexpr(layout.COLUMNS["dry_base"])
N_ALLOWED = tl.constexpr(layout.COLUMNS["dry_allowed_length"])
N_DRY_RANGE = tl.constexpr(layout.COLUMNS["dry_range"])


@triton.jit
def _tokens(tokens, at, end, vocabulary):
    """The tokens at these positions, and whether each is one of the vocabulary."""
    inside = at < end
    token = tl.load(tokens + at, mask=inside, other=-1)
    return token, inside & (token >= 0) & (token < vocabulary)


@triton.jit
def _windowed(start, end, window):
    """Where the last `window` tokens begin; 0 is all."""
    return tl.where(window > 0, tl.maximum(end - window, start), start)


@triton.jit(do_not_specialize=["token_stride", "length_stride", "most", "breaks", "width"])
def run_history(
    logits,
    stride,
    vocabulary,
    places,
    programs,
    numbers,
    number_rows,
    tokens,
    token_stride,
    starts,
    prompt_ends,
    ends,
    lengths,
    length_stride,
    broken,
    completes,
    breaks,
    spared,
    width,
    before,
    counts,
    most,
    BLOCK: tl.constexpr,
):
    """Runs the first operations of each row's program, in place.

    `before` has room for a number for each of `most` positions of a row, `counts` ([rows,
    vocabulary]) is 0, and is so again afterwards. `completes` ([rows, positions]) marks the tokens
    that would complete a breaker, if `breaks`. `spared` ([places, width]) are the tokens to which
    DRY does nothing, filled up with -1.
    """
    row = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row)
    program = programs + place * STEPS
    spared += place * width
    number = numbers + tl.load(number_rows + row) * NUMBERS
    logits += row * stride
    tokens += row * token_stride
    lengths += row * length_stride
    completes += row * most * breaks
    before += row * most
    counts += row * vocabulary
    first = tl.load(starts + row)
    middle = tl.load(prompt_ends + row)
    last = tl.load(ends + row)
    lanes = tl.arange(0, BLOCK)
    step = 0
    op = tl.load(program)
    while op >= ON_HISTORY:
        start = middle
        end = last
        penalty = tl.full((), 1.0, tl.float32)
        loss = tl.full((), 0.0, tl.float32)
        allowed = tl.full((), 0, tl.int64)
        since = tl.full((), 0, tl.int64)
        base = tl.full((), 0.0, tl.float64)
        multiplier = tl.full((), 0.0, tl.float64)
        counted = ((op == FREQUENCY) | (op == DRY)).to(tl.int32)
        if op == ENCODER_REPETITION:
            start = first
            end = middle
            penalty = tl.div_rn(penalty, tl.load(number + N_ENCODER).to(tl.float32))
        elif op == REPETITION:
            start = _windowed(first, last, tl.load(number + N_RANGE).to(tl.int64))
            penalty = tl.load(number + N_REPETITION).to(tl.float32)
        elif op == FREQUENCY:
            loss = tl.load(number + N_FREQUENCY).to(tl.float32)
        elif op == PRESENCE:
            loss = tl.load(number + N_PRESENCE).to(tl.float32)
        else:
            start = _windowed(first, last, tl.load(number + N_DRY_RANGE).to(tl.int64))
            since = last - 1 - tl.maximum(tl.load(broken + row), start - 1)
            allowed = tl.load(number + N_ALLOWED).to(tl.int64)
            base = tl.log(tl.load(number + N_BASE))
            multiplier = tl.load(number + N_MULTIPLIER)

        if counted != 0:
            # how often a token occurs; or the longest match that it continues, beyond `allowed`
            for position in range(start, end, BLOCK):
                at = position + lanes
                token, counts_here = _tokens(tokens, at, end, vocabulary)
                if op == FREQUENCY:
                    tl.atomic_add(counts + token, 1, mask=counts_here, sem="relaxed")
                else:
                    length, counts_here = _match(
                        lengths, completes, breaks, at, start, since, allowed, counts_here
                    )
                    counts_here = _counting(token, counts_here, spared, width)
                    excess = (length - allowed + 1).to(tl.int32)
                    tl.atomic_max(counts + token, excess, mask=counts_here, sem="relaxed")
            tl.debug_barrier()

        for position in range(start, end, BLOCK):
            at = position + lanes
            token, counts_here = _tokens(tokens, at, end, vocabulary)
            if op == DRY:
                length, counts_here = _match(
                    lengths, completes, breaks, at, start, since, allowed, counts_here
                )
                counts_here = _counting(token, counts_here, spared, width)
            x = tl.load(logits + token, mask=counts_here, other=0.0)
            times = tl.full([BLOCK], 1, tl.int32)
            if counted != 0:
                times = tl.load(counts + token, mask=counts_here, other=1, cache_modifier=".cg")
            if op == DRY:
                power = multiplier * tl.exp((times - 1).to(tl.float64) * base)
                lower = tl.maximum(x.to(tl.float64) - power, -FLOAT_MAX).to(tl.float32)
                changed = tl.where(tl.abs(x) < INFINITY, lower, x)
            elif (op == FREQUENCY) | (op == PRESENCE):
                changed = x - times.to(tl.float32) * loss
            else:
                changed = tl.where(x > 0.0, tl.div_rn(x, penalty), x * penalty)
                changed = tl.minimum(tl.maximum(changed, -FLOAT_MAX), FLOAT_MAX)
                changed = tl.where(tl.abs(x) < INFINITY, changed, x)
            tl.store(before + at, changed, mask=counts_here)
        tl.debug_barrier()

        for position in range(start, end, BLOCK):
            at = position + lanes
            token, counts_here = _tokens(tokens, at, end, vocabulary)
            if op == DRY:
                length, counts_here = _match(
                    lengths, completes, breaks, at, start, since, allowed, counts_here
                )
                counts_here = _counting(token, counts_here, spared, width)
            changed = tl.load(before + at, mask=counts_here, other=0.0)
            tl.store(logits + token, changed, mask=counts_here)
            if counted != 0:
                tl.store(counts + token, tl.zeros([BLOCK], tl.int32), mask=counts_here)
        tl.debug_barrier()
        step += 1
        op = tl.load(program + step)


@triton.jit
def _match(lengths, completes, breaks, at, start, since, allowed, inside):
    """The length of the match that the token at each position continues, and which counts."""
    length = tl.load(lengths + at - 1, mask=inside & (at > 0), other=0).to(tl.int64)
    long = inside & (length >= allowed)
    length = tl.minimum(tl.minimum(length, at - start), since)
    long = long & (length >= allowed)
    if breaks != 0:
        long = long & (tl.load(completes + at, mask=inside, other=0) == 0)
    return length, long


@triton.jit
def _counting(token, counts, spared, width):
    """Which tokens count, without those that are spared."""
    for number in range(width):
        counts = counts & (token != tl.load(spared + number))
    return counts


@triton.jit(do_not_specialize=["length_stride", "token_stride", "positions"])
def extend_matches(
    lengths,
    length_stride,
    slots,
    tokens,
    token_stride,
    starts,
    ends,
    result,
    positions,
    BLOCK: tl.constexpr,
):
    """Appends each row's last token to the matches of its slot; copies them to `result`.

    `length'[i] = length[i - 1] + 1 if history[i] == token else 0`, from the end on, so that no
    length is overwritten before it is read.
    """
    row = tl.program_id(0).to(tl.int64)
    lengths += tl.load(slots + row) * length_stride
    tokens += row * token_stride
    result += row * positions
    start = tl.load(starts + row)
    end = tl.load(ends + row)
    last = tl.load(tokens + tl.maximum(end - 1, 0))
    lanes = tl.arange(0, BLOCK)
    blocks = tl.cdiv(positions, BLOCK)
    for number in range(blocks):
        at = (blocks - 1 - number) * BLOCK + lanes
        inside = at < positions
        token = tl.load(tokens + at, mask=inside, other=-1)
        old = tl.load(lengths + at - 1, mask=inside & (at > 0), other=0)
        equal = inside & (token == last) & (at >= start) & (at < end - 1)
        length = tl.where(equal, old + 1, 0)
        tl.debug_barrier()
        tl.store(lengths + at, length, mask=inside)
        tl.store(result + at, length, mask=inside)
        tl.debug_barrier()
