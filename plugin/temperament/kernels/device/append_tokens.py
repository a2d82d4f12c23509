"""The kernel that appends each row's new token to the device's copy of its tokens."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["table_stride", "token_stride", "rows"])
def append_tokens(
    table, table_stride, slots, positions, tokens, token_stride, ends, rows, BLOCK: tl.constexpr
):
    """Copies the token at a row's position of its slot, and writes where the row's tokens end."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    slot = tl.load(slots + row, mask=inside, other=0)
    position = tl.load(positions + row, mask=inside, other=0).to(tl.int64)
    token = tl.load(table + slot * table_stride + position, mask=inside, other=0)
    place = row.to(tl.int64) * token_stride + position
    tl.store(tokens + place, token.to(tl.int64), mask=inside)
    tl.store(ends + row, position + 1, mask=inside)
