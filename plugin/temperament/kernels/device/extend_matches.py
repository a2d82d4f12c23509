"""The kernel that appends new tokens to `temperament.batch.suffix_matches`."""

import triton
import triton.language as tl


@triton.jit
def _append(old, new, copy, tokens, start, end, BLOCK: tl.constexpr):
    """Writes the lengths after the token at `end` - 1 to `new` and `copy`, from those before it.

    `length'[i] = length[i - 1] + 1 if history[i] == token else 0`, from the end on, so that `old`
    and `new` may be the same: no length is overwritten before it is read.
    """
    lanes = tl.arange(0, BLOCK)
    last = tl.load(tokens + end - 1)
    blocks = tl.cdiv(end, BLOCK)
    for number in range(blocks):
        at = (blocks - 1 - number) * BLOCK + lanes
        inside = at < end
        token = tl.load(tokens + at, mask=inside, other=-1)
        length = tl.load(old + at - 1, mask=inside & (at > 0), other=0)
        equal = inside & (token == last) & (at >= start) & (at < end - 1)
        length = tl.where(equal, length + 1, 0)
        tl.debug_barrier()
        tl.store(new + at, length, mask=inside)
        tl.store(copy + at, length, mask=inside)
        tl.debug_barrier()


@triton.jit(
    do_not_specialize=["length_stride", "token_stride", "rows", "positions"],
    do_not_specialize_on_alignment=["slots", "before", "texts", "starts", "ends"],
)
def extend_matches(
    lengths,
    length_stride,
    known,
    slots,
    before,
    tokens,
    token_stride,
    texts,
    starts,
    ends,
    result,
    rows,
    positions,
    BLOCK: tl.constexpr,
):
    """Brings the matches of each row's slot to the row's last token, and copies them to `result`.

    One program a row; that of a request's first row also does the rows of draft tokens, which
    follow it and aren't kept. `known` is to how many tokens a slot's matches belong. What lies
    after a row's last token in `result` is undefined.
    """
    row = tl.program_id(0).to(tl.int64)
    if tl.load(before + row) == 0:
        slot = tl.load(slots + row).to(tl.int64)
        start = tl.load(starts + row)
        end = tl.load(ends + row)
        tokens += tl.load(texts + row) * token_stride
        lengths += slot * length_stride
        target = result + row * positions
        at = tl.load(known + slot)
        tl.debug_barrier()  # `known` is read by all threads before it is written
        if at == end:
            lanes = tl.arange(0, BLOCK)
            for begin in range(0, end, BLOCK):
                place = begin + lanes
                length = tl.load(lengths + place, mask=place < end, other=0)
                tl.store(target + place, length, mask=place < end)
        elif at > end:  # the text is another one, or shorter
            at = start
        while at < end:
            at += 1
            _append(lengths, lengths, target, tokens, start, at, BLOCK)
        tl.store(known + slot, end)
        tl.debug_barrier()
        number = 1
        while tl.load(before + row + number, mask=row + number < rows, other=0) == number:
            following = target + positions
            _append(target, following, following, tokens, start, end + number, BLOCK)
            target = following
            number += 1
