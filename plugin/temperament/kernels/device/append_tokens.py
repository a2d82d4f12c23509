"""The kernel that copies each request's new tokens to the device's copy of its text."""

import triton
import triton.language as tl


@triton.jit(
    do_not_specialize=["table_stride", "token_stride"],
    do_not_specialize_on_alignment=[
        "slots",
        "before",
        "positions",
        "fed",
        "texts",
        "prompt_ends",
        "ends",
    ],
)
def append_tokens(
    table,
    table_stride,
    prompt_lengths,
    slots,
    before,
    positions,
    fed,
    tokens,
    token_stride,
    known,
    texts,
    prompt_ends,
    ends,
    BLOCK: tl.constexpr,
):
    """Copies a row's tokens after the first `known`; the row of a draft token writes that token.

    One program a row. A request's rows write to different places of its text, one after another.
    """
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    end = tl.load(positions + row).to(tl.int64) + 1
    tokens += slot * token_stride
    if tl.load(before + row) == 0:
        table += slot * table_stride
        lanes = tl.arange(0, BLOCK)
        first = tl.load(known + slot)
        for start in range(first, end, BLOCK):
            at = start + lanes
            token = tl.load(table + at, mask=at < end, other=0)
            tl.store(tokens + at, token.to(tl.int64), mask=at < end)
        tl.debug_barrier()  # `known` is read by all threads before it is written
        tl.store(known + slot, end)
    else:
        tl.store(tokens + end - 1, tl.load(fed + row).to(tl.int64))
    tl.store(texts + row, slot)
    tl.store(prompt_ends + row, tl.load(prompt_lengths + slot).to(tl.int64))
    tl.store(ends + row, end)
