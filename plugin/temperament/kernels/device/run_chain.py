"""The kernel of shapes and cuts: one program a row runs all of the row's chain.

Shapes and cuts map a row monotonically and keep an interval of it. So the state of a row is a few
numbers (`row`), and a threshold is found by counting (`search`); only what needs the order of the
row sorts it (`ordering`). The row is written once, at the end of its chain; a shape that isn't a
division writes it in between.

Each stage's rule is in the file of its name. A row has the same bits alone and in any batch: a
program reads its row in blocks of a fixed size, and there are no atomics.

A row with NaN or +inf, or without an allowed token, stays as it is. The specification is
`temperament.ops`; Triton's functions have no types that mypy could check.
"""

import triton
import triton.language as tl

from temperament.kernels.device import (
    adaptive_p,
    dynamic_temperature,
    epsilon_cutoff,
    eta_cutoff,
    min_p,
    mirostat,
    p_less,
    p_less_norm,
    renormalize_logits,
    reproducible,
    smoothing,
    temperature,
    top_a,
    top_h,
    top_k,
    top_n_sigma,
    top_p,
    typical_p,
    xtc,
)
from temperament.kernels.device.bits import FLOAT_MAX, INFINITY, from_key, key, next_up
from temperament.kernels.device.opcodes import (
    ADAPTIVE,
    ADAPTIVE_STORE,
    DYNAMIC_TEMPERATURE,
    EES,
    END,
    EPSILON,
    ETA,
    MIN_K,
    MIN_P,
    MIROSTAT_1,
    MIROSTAT_1_CUT,
    MIROSTAT_2,
    MIROSTAT_STORE,
    NUMBERS,
    ON_SOME,
    P_LESS,
    P_LESS_NORM,
    RENORMALIZE,
    REPRODUCIBLE,
    SKEW,
    SMOOTHING,
    STEPS,
    TEMPERATURE,
    TFS,
    TOP_A,
    TOP_H,
    TOP_H_MOST,
    TOP_K,
    TOP_N_SIGMA,
    TOP_P,
    TYPICAL_P,
    XTC,
)
from temperament.kernels.device.ordering import in_order, wants_order
from temperament.kernels.device.row import SPAN, Row, extremes, least_logit
from temperament.kernels.device.search import BY_NEARNESS, BY_VALUE, collect, extent, search
from temperament.kernels.device.state import State, drawn, store
from temperament.kernels.device.sums import Sums, sums_of
from temperament.kernels.device.winner import winner_of
from temperament.kernels.device.writing import emit, rewrite


# Compiled once for a vocabulary: other numbers and the addresses of small tensors don't matter.
@triton.jit(
    do_not_specialize=["stride", "token_stride", "protected_width", "newlines"],
    do_not_specialize_on_alignment=[
        "places",
        "number_rows",
        "entries",
        "mirostat_source",
        "adaptive_source",
        "tokens",
        "texts",
        "prompt_ends",
        "ends",
        "protected",
        "newline",
    ],
)
def run_chain(
    logits,
    stride,
    vocabulary,
    places,
    programs,
    numbers,
    number_rows,
    seeds,
    entries,
    tokens,
    token_stride,
    texts,
    prompt_ends,
    ends,
    mirostat_value,
    mirostat_logits,
    mirostat_normaliser,
    mirostat_generated,
    mirostat_source,
    adaptive_value,
    adaptive_logits,
    adaptive_normaliser,
    adaptive_generated,
    adaptive_source,
    protected,
    protected_width,
    newline,
    newlines,
    list_values,
    list_tokens,
    sorted_values,
    sorted_places,
    ALIGNED: tl.constexpr,
    PIVOTS: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Runs the chain of each row on float32 logits, in place; one program a row.

    `ALIGNED`: rows are 16 numbers apart, or a multiple, so that several are loaded at once.
    """
    row_number = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row_number)
    program = programs + place * STEPS
    step = 0
    op = tl.load(program)
    while op >= ON_SOME:  # what `run_biases` has done
        step += 1
        op = tl.load(program + step)
    if op == END:
        return
    begin = row_number * stride
    if ALIGNED:
        begin = tl.multiple_of(begin, 16)
    target = logits + begin
    top, bottom, wrong, middle = extremes(target, vocabulary, BLOCK)
    if (wrong != 0) | (top == INFINITY) | (top == -INFINITY):
        return
    number = numbers + tl.load(number_rows + row_number) * NUMBERS
    seed = tl.load(seeds + place)
    end = tl.load(ends + row_number)
    generated = end - tl.load(prompt_ends + row_number)
    tokens += tl.load(texts + row_number) * token_stride
    last_token = tl.load(tokens + tl.maximum(end - 1, 0))
    protected += place * protected_width
    mirostat_state = State(
        mirostat_value, mirostat_normaliser, mirostat_generated, mirostat_logits, mirostat_source
    )
    adaptive_state = State(
        adaptive_value, adaptive_normaliser, adaptive_generated, adaptive_logits, adaptive_source
    )
    list_values += row_number * CAPACITY
    list_tokens += row_number * CAPACITY
    sorted_values += row_number * vocabulary * 2
    sorted_places += row_number * vocabulary * 2
    base = target
    length = vocabulary
    listed = tl.full((), 0, tl.int32)
    low = tl.full((), -FLOAT_MAX, tl.float32)
    high = tl.full((), INFINITY, tl.float32)
    shift = tl.full((), 0.0, tl.float32)
    scale = tl.full((), 1.0, tl.float32)
    nothing = tl.full((), 0.0, tl.float64)
    sums = Sums(tl.full((), 0, tl.int32), nothing + 1.0, nothing, nothing, nothing + 1.0)
    summed = tl.full((), 0, tl.int32)
    # whether the row in memory has still to be written
    changed = tl.full((), 0, tl.int32)
    # what the first operation of a stage leaves to the next
    level = tl.full((), 0.0, tl.float64)
    wanted = tl.full((), 1.0, tl.float64)
    normaliser = tl.full((), 0.0, tl.float32)
    going = tl.full((), 1, tl.int32)
    while going != 0:
        best = tl.div_rn(top - shift, scale)
        row = Row(base, length, list_tokens, listed, low, high, shift, scale, best)

        # The first round of top-p's search finds the total.
        if (op > TOP_P) & (summed == 0):
            sums = sums_of(row, BLOCK)
            summed += 1
            if (listed == 0) & (length > CAPACITY) & (sums.allowed <= CAPACITY):
                length = collect(
                    row,
                    best,
                    BY_VALUE,
                    best * 0.0 - INFINITY,
                    best,
                    list_values,
                    list_tokens,
                    CAPACITY,
                    BLOCK,
                )
                base = list_values
                listed += 1
                row = Row(base, length, list_tokens, listed, low, high, shift, scale, best)

        # Each operation sets some of these. A cut sets the least value that stays.
        bound = best * 0.0 - INFINITY
        # Or it lets that be searched for: a token stays if less than `goal` ranks above it.
        searching = tl.full((), 0, tl.int32)
        metric = tl.full((), BY_VALUE, tl.int32)
        by_mass = tl.full((), 0, tl.int32)
        goal = tl.full((), 0.0, tl.float64)
        share = tl.full((), 1.0, tl.float32)
        mean = (sums.weighted / sums.total).to(tl.float32)
        # A shape writes new values,
        writing = tl.full((), 0, tl.int32)
        one = tl.full((), 0.0, tl.float32)
        two = tl.full((), 0.0, tl.float32)
        # needs the row's order,
        ordering = wants_order(op, number)
        # or divides the values.
        divisor = tl.full((), 1.0, tl.float32)
        # A single token stays, and whether noise chooses it; or a state is stored.
        single = tl.full((), 0, tl.int32)
        noisy = tl.full((), 0, tl.int32)
        noise = tl.full((), 0, tl.int64)
        stores = tl.full((), 0, tl.int32)

        if op == TEMPERATURE:
            divisor, single = temperature.divisor_of(number)
        elif op == TOP_K:
            goal = top_k.count_of(number)
            searching += (goal < vocabulary).to(tl.int32)
        elif op == MIN_P:
            bound = min_p.bound_of(row, number)
        elif op == TOP_N_SIGMA:
            bound = top_n_sigma.bound_of(row, number, middle, top, BLOCK)
        elif op == TOP_H_MOST:
            goal += top_h.TOP
            searching += (top_h.share_of(number) > 0.0).to(tl.int32)
        elif op == SMOOTHING:
            one, two = smoothing.curve_of(number)
            writing += (one > 0.0).to(tl.int32)
        elif op == REPRODUCIBLE:
            single += 1
            noisy += 1
            noise = reproducible.noise_of(seed, generated)
        elif op == MIROSTAT_1_CUT:
            goal = wanted
            searching += (goal < vocabulary).to(tl.int32)
        elif op == TOP_P:
            share = top_p.share_of(number)
            by_mass += 1
            searching += (share < 1.0).to(tl.int32)
        elif op == TYPICAL_P:
            share = typical_p.share_of(number)
            by_mass += 1
            metric = tl.full((), BY_NEARNESS, tl.int32)
            searching += (share < 1.0).to(tl.int32)
        elif op == EPSILON:
            bound = epsilon_cutoff.bound_of(row, number, sums)
        elif op == ETA:
            bound = eta_cutoff.bound_of(row, number, sums)
        elif op == TOP_A:
            bound = top_a.bound_of(row, number, sums)
        elif op == P_LESS:
            bound = p_less.bound_of(row, number, sums, BLOCK)
        elif op == P_LESS_NORM:
            bound = p_less_norm.bound_of(row, sums)
        elif op == DYNAMIC_TEMPERATURE:
            divisor = dynamic_temperature.divisor_of(number, sums)
        elif op == XTC:
            one = xtc.last_of(row, number, sums, seed, generated, BLOCK)
            if one < best:
                if (protected_width > 0) | xtc.spares_newlines(number, newlines):
                    writing += 1
                else:
                    high = from_key(key(least_logit(row, next_up(one))) - 1)
                    top = high
                    summed = tl.full((), 0, tl.int32)
                    changed += 1
        elif (op == MIROSTAT_1) | (op == MIROSTAT_2):
            level, surprise, followed = drawn(
                mirostat_state, row_number, generated, last_token, vocabulary
            )
            level = mirostat.level_after(number, level, surprise, followed)
            if op == MIROSTAT_2:
                bound = mirostat.bound_of(row, sums, level)
            else:
                goal += mirostat.TOP
                searching += 1
        elif op == ADAPTIVE_STORE:
            level, surprise, followed = drawn(
                adaptive_state, row_number, generated, last_token, vocabulary
            )
            level = adaptive_p.level_after(number, level, surprise, followed)
            stores += 1
        elif op == MIROSTAT_STORE:
            stores += 1
        elif op == ADAPTIVE:
            one = adaptive_p.aim_of(number, level)
            two = normaliser
            writing += 1
        elif op == TOP_H:
            bound = top_h.bound_of(row, sums, top_h.share_of(number), BLOCK)
        elif op == RENORMALIZE:
            one = renormalize_logits.normaliser_of(sums)
            writing += 1
        elif (op == TFS) | (op == MIN_K) | (op == EES):  # the largest usually suffice
            goal += CAPACITY // 2
            searching += ordering * (sums.allowed > CAPACITY).to(tl.int32)
        elif op == SKEW:
            writing += ordering

        left = row
        if searching != 0:
            if by_mass != 0:
                goal = (share * sums.total.to(tl.float32)).to(tl.float64)
            unknown = by_mass * (1 - summed)
            found, left = search(
                row,
                bottom,
                mean,
                metric,
                by_mass,
                goal,
                share,
                unknown,
                list_values,
                list_tokens,
                PIVOTS,
                CAPACITY,
                BLOCK,
            )
            if op == MIROSTAT_1:
                wanted = mirostat.count_of(left, sums.allowed, level, vocabulary, BLOCK)
            elif ordering == 0:
                base = left.base
                length = left.length
                listed = left.listed
                if metric == BY_NEARNESS:
                    low, high = extent(left, mean, BY_NEARNESS, found, BLOCK)
                    top = high
                    summed = tl.full((), 0, tl.int32)
                    changed += 1
                else:
                    bound = found

        if ordering != 0:
            found = in_order(
                op,
                row,
                left,
                sums.allowed,
                sums.total,
                number,
                sorted_values,
                sorted_places,
                vocabulary,
                BLOCK,
                BLOCK // 4 if BLOCK > 512 else BLOCK,
            )
            if op == SKEW:
                top = found
            else:
                bound = found

        if bound > -INFINITY:
            low = tl.maximum(low, tl.minimum(least_logit(row, bound), top))
            summed = tl.full((), 0, tl.int32)
            changed += 1

        if (divisor != 1.0) & ((scale != 1.0) | (shift != 0.0)):
            writing += 1
        if writing != 0:
            row = Row(base, length, list_tokens, listed, low, high, shift, scale, best)
            if op != SKEW:
                top = rewrite(
                    row,
                    op,
                    one,
                    two,
                    protected,
                    protected_width,
                    newline,
                    xtc.spares_newlines(number, newlines),
                    BLOCK,
                )
            low = tl.full((), -FLOAT_MAX, tl.float32)
            high = tl.full((), INFINITY, tl.float32)
            shift = tl.full((), 0.0, tl.float32)
            scale = tl.full((), 1.0, tl.float32)
            bottom = top - SPAN
            middle = top
            summed = tl.full((), 0, tl.int32)
            changed = listed

        if divisor != 1.0:
            if divisor < temperature.SHIFTED_BELOW:
                shift = top
            scale = divisor
            summed = tl.full((), 0, tl.int32)
            changed += 1

        row = Row(base, length, list_tokens, listed, low, high, shift, scale, best)
        if single != 0:
            winner = winner_of(row, noisy != 0, noise, BLOCK)
            top = tl.load(base + winner)
            token = winner
            if listed != 0:
                token = tl.load(list_tokens + winner)
            tl.debug_barrier()
            tl.store(list_values, top)
            tl.store(list_tokens, token)
            tl.debug_barrier()
            base = list_values
            length = length * 0 + 1
            listed = tl.full((), 1, tl.int32)
            summed = tl.full((), 0, tl.int32)
            changed += 1

        writes = (op == END) & (changed + listed != 0)
        destination = target
        if stores != 0:
            entry = tl.load(entries + row_number)
            normaliser = (best.to(tl.float64) + tl.log(sums.total)).to(tl.float32)
            if op == MIROSTAT_STORE:
                destination = mirostat_logits + entry * vocabulary
                writes = store(mirostat_state, entry, generated, level, normaliser)
            else:
                destination = adaptive_logits + entry * vocabulary
                writes = store(adaptive_state, entry, generated, level, normaliser)
        if writes:
            row = Row(base, length, list_tokens, listed, low, high, shift, scale, best)
            emit(destination, row, vocabulary, BLOCK)

        if op == END:
            going = tl.full((), 0, tl.int32)
        else:
            step += 1
            op = tl.load(program + step)
