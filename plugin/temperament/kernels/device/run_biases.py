"""The kernel of biases, penalties and bans: one program a row changes some of the row's logits.

They are the first operations of a chain. The specification is `temperament.ops`.
"""

import triton
import triton.language as tl

from temperament.kernels.device.automata import Automata, ban_texts, find_breakers
from temperament.kernels.device.lists import change_listed, keep_listed, keep_token, make_valid
from temperament.kernels.device.opcodes import (
    ALLOWED,
    BAD_WORDS,
    BANNED_TEXTS,
    BEGIN_SUPPRESS,
    DRY,
    FIELDS,
    FORCED_FIRST,
    FORCED_LAST,
    L_ALLOWED,
    L_BAD_WORDS,
    L_BEGIN_SUPPRESS,
    L_ENDS,
    L_FORCED_LAST,
    L_LOGIT_BIAS,
    L_SEQUENCE_BIAS,
    L_SUPPRESS,
    LISTS,
    LOGIT_BIAS,
    N_FORCED_FIRST,
    N_LIMIT,
    N_PROTECT_ENDS,
    NO_REPEAT,
    NUMBERS,
    ON_SOME,
    SEQUENCE_BIAS,
    STEPS,
    SUPPRESS,
    VALID,
)
from temperament.kernels.device.penalties import ban_repeats, penalize
from temperament.kernels.device.text import Text


@triton.jit
def _list_of(op):
    """The list that an operation reads."""
    number = tl.full((), L_ENDS, tl.int32)
    number = tl.where(op == LOGIT_BIAS, L_LOGIT_BIAS, number)
    number = tl.where(op == SEQUENCE_BIAS, L_SEQUENCE_BIAS, number)
    number = tl.where(op == SUPPRESS, L_SUPPRESS, number)
    number = tl.where(op == BEGIN_SUPPRESS, L_BEGIN_SUPPRESS, number)
    number = tl.where(op == BAD_WORDS, L_BAD_WORDS, number)
    number = tl.where(op == ALLOWED, L_ALLOWED, number)
    return tl.where(op == FORCED_LAST, L_FORCED_LAST, number)


# Compiled once for a vocabulary: other numbers and the addresses of small tensors don't matter.
@triton.jit(
    do_not_specialize=[
        "stride",
        "token_stride",
        "length_stride",
        "most",
        "breaker_window",
        "banned_window",
        "size",
    ],
    do_not_specialize_on_alignment=[
        "places",
        "number_rows",
        "tokens",
        "texts",
        "starts",
        "prompt_ends",
        "ends",
        "lengths",
        "entries",
        "prefixes",
        "list_starts",
        "breaker_roots",
        "banned_roots",
        "sets",
        "offsets",
        "keys",
        "plain",
        "other",
        "hits",
        "other_hits",
        "completes",
    ],
)
def run_biases(
    logits,
    stride,
    vocabulary,
    places,
    programs,
    numbers,
    number_rows,
    tokens,
    token_stride,
    texts,
    starts,
    prompt_ends,
    ends,
    lengths,
    length_stride,
    entries,
    prefixes,
    list_starts,
    breaker_roots,
    breaker_window,
    banned_roots,
    banned_window,
    sets,
    offsets,
    keys,
    plain,
    other,
    hits,
    other_hits,
    size,
    completes,
    before,
    counts,
    most,
    BLOCK: tl.constexpr,
):
    """Runs the first operations of each row's program on float32 logits, in place.

    `before` and `completes` have room for `most` numbers of a row. `counts` ([rows, vocabulary])
    is 0 before and after. A window of -1: no row has such texts.
    """
    row = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row)
    program = programs + place * STEPS
    number = numbers + tl.load(number_rows + row) * NUMBERS
    logits += row * stride
    tokens += tl.load(texts + row) * token_stride
    lengths += row * length_stride
    completes += row * most
    before += row * most
    counts += row * vocabulary
    first = tl.load(starts + row)
    middle = tl.load(prompt_ends + row)
    last = tl.load(ends + row)
    generated = last - middle
    text = Text(tokens, first, middle, last)
    automata = Automata(sets, offsets, keys, plain, other, hits, other_hits, size)
    step = 0
    op = tl.load(program)
    while op >= ON_SOME:
        if (op >= LOGIT_BIAS) & (op < FORCED_FIRST) | (op == FORCED_LAST):
            list_start = list_starts + place * (LISTS + 1) + _list_of(op)
            begin = tl.load(list_start)
            count = tl.load(list_start + 1) - begin
            listed = entries + begin * FIELDS
            if op < ALLOWED:
                change_listed(
                    op, logits, vocabulary, listed, count, prefixes, text, number, before, BLOCK
                )
            elif (op == ALLOWED) | (generated == tl.load(number + N_LIMIT).to(tl.int64) - 1):
                keep_listed(op, logits, vocabulary, listed, count, before, BLOCK)
        elif op == FORCED_FIRST:
            forced = tl.load(number + N_FORCED_FIRST).to(tl.int64)
            if (last - first == 1) & (forced < vocabulary):
                keep_token(logits, vocabulary, forced, BLOCK)
        elif op == VALID:
            make_valid(logits, vocabulary, BLOCK)
        elif op == BANNED_TEXTS:
            if banned_window >= 0:
                root = tl.load(banned_roots + place)
                ban_texts(automata, logits, vocabulary, text, banned_window, root, counts, BLOCK)
        elif op >= NO_REPEAT:
            ban_repeats(op, logits, vocabulary, text, lengths, number, before, BLOCK)
        else:
            broken = tl.full((), -1, tl.int64)
            ends_start = list_starts + place * (LISTS + 1) + L_ENDS
            begin = tl.load(ends_start)
            spared = tl.load(ends_start + 1) - begin
            if tl.load(number + N_PROTECT_ENDS) == 0.0:
                spared = spared * 0
            if (op == DRY) & (breaker_window >= 0):
                root = tl.load(breaker_roots + place)
                broken = find_breakers(automata, text, breaker_window, root, completes, BLOCK)
            penalize(
                op,
                logits,
                vocabulary,
                text,
                lengths,
                broken,
                completes,
                (breaker_window >= 0).to(tl.int32),
                entries + begin * FIELDS,
                spared,
                number,
                before,
                counts,
                BLOCK,
            )
        step += 1
        op = tl.load(program + step)
